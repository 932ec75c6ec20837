import type { PolicyDocument } from './document.ts';

/**
 * The customer's stack: one role with the documents of its connection. Plain CloudFormation, so that a security team reads
 * on one screen what it signs.
 */
export function customerTemplate(documents: {
  roleName: string;
  trustPolicy: PolicyDocument;
  backupPolicy: PolicyDocument;
  restorePolicy?: PolicyDocument | undefined;
}) {
  const policies = [
    { PolicyName: 'backup', PolicyDocument: documents.backupPolicy },
    ...(documents.restorePolicy ? [{ PolicyName: 'restore', PolicyDocument: documents.restorePolicy }] : []),
  ];
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description:
      'The role with which Domicile backs up the instances of this account. Deleting this stack revokes everything.',
    Resources: {
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName: documents.roleName,
          AssumeRolePolicyDocument: documents.trustPolicy,
          Policies: policies,
        },
      },
    },
    Outputs: { RoleArn: { Value: { 'Fn::GetAtt': ['Role', 'Arn'] } } },
  };
}

/** Address in the customer's console that opens the stack with everything filled in. */
export function quickCreateUrl(options: {
  consoleHost: string;
  awsRegion: string;
  templateUrl: string;
  roleName: string;
}): string {
  const query = new URLSearchParams({ templateURL: options.templateUrl, stackName: options.roleName });
  return `https://${options.consoleHost}/cloudformation/home?region=${options.awsRegion}#/stacks/quickcreate?${query}`;
}
