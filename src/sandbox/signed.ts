/** What a SigV4 request says of its signature, in the `Authorization` header or the query, with the parts of its scope. */
export type Signed = {
  accessKeyId: string;
  date: string;
  awsRegion: string;
  service: string;
  signedHeaders: string[];
  signature: string;
  /** For a signature that stands in the query (S3 only): there is no header to look these up in. */
  presigned?: { time: string; expiresSeconds: number; securityToken: string | null };
};
