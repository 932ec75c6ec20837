import type { PolicyDocument } from './document.ts';

export type RoleDocuments = {
  roleName: string;
  cleanUpRoleName: string;
  trustPolicy: PolicyDocument;
  /** Rights of backups with the connection's storage, and with `account` storage. */
  backupPolicy: PolicyDocument;
  accountOnlyBackupPolicy: PolicyDocument;
  restorePolicy?: PolicyDocument | undefined;
  accountOnlyRestorePolicy?: PolicyDocument | undefined;
  cleanUpPolicy?: PolicyDocument | undefined;
};

const either = (condition: string, yes: unknown, no: unknown) => ({ 'Fn::If': [condition, yes, no] });
const NOTHING = { Ref: 'AWS::NoValue' };

const yesOrNo = (Default: boolean, Description: string) => ({
  Type: 'String',
  AllowedValues: ['true', 'false'],
  Default: String(Default),
  Description,
});

function roleOf(roleName: string, trustPolicy: PolicyDocument, policies: readonly unknown[]) {
  return {
    Type: 'AWS::IAM::Role',
    Properties: { RoleName: roleName, AssumeRolePolicyDocument: trustPolicy, Policies: policies },
  };
}

/**
 * The customer's stack: the role with the documents of its connection, and the clean-up role where it was asked for.
 * Plain CloudFormation, so that a security team reads on one screen what it signs. `AccountOnly=true` leaves out every
 * right to read or write blocks, whatever the connection says.
 */
export function customerTemplate(documents: RoleDocuments & { storage: 'vault' | 'account' }) {
  const { restorePolicy, cleanUpPolicy, trustPolicy } = documents;
  const policies = [
    {
      PolicyName: 'backup',
      PolicyDocument: either('OnlyAccount', documents.accountOnlyBackupPolicy, documents.backupPolicy),
    },
    ...(restorePolicy
      ? [
          either(
            'WithRestore',
            {
              PolicyName: 'restore',
              PolicyDocument: either('OnlyAccount', documents.accountOnlyRestorePolicy, restorePolicy),
            },
            NOTHING,
          ),
        ]
      : []),
  ];
  const allowRestore = yesOrNo(true, 'Whether the role may also restore: make new volumes and instances.');
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description:
      'The role with which Domicile backs up the instances of this account. Deleting this stack revokes everything.',
    Parameters: {
      AccountOnly: yesOrNo(
        documents.storage === 'account',
        'Leave out every right to read blocks: recovery points stay EBS snapshots of this account.',
      ),
      ...(restorePolicy ? { AllowRestore: allowRestore } : {}),
    },
    Conditions: {
      OnlyAccount: { 'Fn::Equals': [{ Ref: 'AccountOnly' }, 'true'] },
      ...(restorePolicy ? { WithRestore: { 'Fn::Equals': [{ Ref: 'AllowRestore' }, 'true'] } } : {}),
    },
    Resources: {
      Role: roleOf(documents.roleName, trustPolicy, policies),
      ...(cleanUpPolicy
        ? {
            CleanUpRole: roleOf(documents.cleanUpRoleName, trustPolicy, [
              { PolicyName: 'clean-up', PolicyDocument: cleanUpPolicy },
            ]),
          }
        : {}),
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
