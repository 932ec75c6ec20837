/** Region and account of a KMS key are the fourth and fifth part of its ARN. */
const KMS_KEY = /^arn:[a-z-]+:kms:([a-z0-9-]+):\d{12}:key\//;

/** The AWS region that a KMS key is in; undefined for what is no ARN of one. */
export const regionOfKey = (arn: string): string | undefined => KMS_KEY.exec(arn)?.[1];
