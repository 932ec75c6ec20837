import type { Clock } from '../core/clock.ts';
import type { Settings } from './settings.ts';

/** Who signed a request, after its signature was verified. */
export type Caller = {
  accountId: string;
  /** ARN as GetCallerIdentity shows it: `…:root`, `…:user/x`, `arn:aws:sts::…:assumed-role/x/session`. */
  arn: string;
  userId: string;
  /** What `aws:PrincipalArn` holds: for a role session the role's own ARN. */
  principalArn: string;
  kind: 'root' | 'user' | 'role';
};

/** One AWS request whose SigV4 signature holds. `body` is whole: the largest is one 16 MiB pack or one block. */
export type AwsRequest = {
  service: 'ec2' | 'ebs' | 'sts' | 'iam' | 's3' | 'kms' | 'cloudformation';
  awsRegion: string;
  method: string;
  /** Percent-encoded path as received, and the decoded query. */
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: Buffer;
  caller: Caller;
  requestId: string;
};

export type AwsResponse = {
  status: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Called once the whole answer is with the operating system: its body may be used for something else then. */
  sent?: () => void;
  /** A fault on the way: the connection is reset, never answered, or ends in the middle of the body. */
  delivery?: 'reset' | 'hang' | 'cut';
};

/** One decision to ask of IAM. `context` holds condition keys (`aws:RequestTag/x`, `ec2:CreateAction`, …), any case. */
export type Question = {
  action: string;
  /** The ARN of the one resource checked, or `*` where the action has none. */
  resource: string;
  /** The account that owns the resource, for key and bucket policies; the caller's by default. */
  resourceAccountId?: string;
  context?: Record<string, string | readonly string[]>;
  /** The resource's own policy (key policy, bucket policy), if it has one. */
  resourcePolicy?: unknown;
  /** True for KMS: without an allow in the key policy (directly or through account root) nothing is allowed. */
  resourcePolicyRequired?: boolean;
  /** Whether a KMS grant allows it: as good as an allow in the key policy for the principal itself. */
  granted?: boolean;
};

export type Decision = { allowed: boolean; reason: string };

/** The decision point every service asks: identity, permissions of the session, and the resource's policy. */
export type Authorizer = (caller: Caller, question: Question, request: AwsRequest) => Decision;

/**
 * The KMS that EC2 and EBS call on a caller's behalf, with the caller's own rights (AWS does this with forward access
 * sessions). Each method authorises as the caller and throws an `AwsError` of the KMS kind when the key refuses.
 */
export type KeyUse = {
  /** The account's default EBS key in a region (`alias/aws/ebs`), made when first asked for. */
  defaultEbsKeyArn(accountId: string, awsRegion: string): string;
  /** The ARN of a key named by id, alias or ARN. Throws when the account has no such key there. */
  arnOf(request: AwsRequest, name: string): string;
  /** Throws unless the caller may do each of these KMS actions with the key now. */
  require(request: AwsRequest, keyArn: string, actions: readonly string[], viaService: string): void;
};

/** What every service handler is made with. `dir` is the service's own folder for its state on disk. */
export type ServiceDeps = {
  clock: Clock;
  authorize: Authorizer;
  keys: KeyUse;
  dir: string;
  settings: Settings;
};

/** A service: answers requests, and flushes its state to disk when asked (at stop, and now and then). */
export type AwsService = {
  handle(request: AwsRequest): Promise<AwsResponse>;
  save(): Promise<void>;
  /** Lets go of open files; only after the last save. */
  close?(): Promise<void>;
};

/**
 * An error as AWS would send it. Services throw it; the server writes it in the protocol of the service (EC2 query XML,
 * S3 XML, JSON 1.1 for KMS, REST-JSON for EBS, query XML for STS and IAM).
 */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  readonly extra: Record<string, string>;

  constructor(code: string, status: number, message: string, extra: Record<string, string> = {}) {
    super(message);
    this.name = 'AwsError';
    this.code = code;
    this.status = status;
    this.extra = extra;
  }
}
