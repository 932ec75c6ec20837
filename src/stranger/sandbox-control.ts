/** AWS credentials, as anyone holds them. */
export type Credentials = { accessKeyId: string; secretAccessKey: string };
export type Account = Credentials & { awsAccountId: string };

/** One line of the sandbox's summary of calls. */
export type CallCount = {
  callerArn: string;
  accountId: string;
  service: string;
  awsRegion: string;
  operation: string;
  status: number;
  count: number;
};

async function checked(response: Response, what: string): Promise<Response> {
  if (response.ok) return response;
  throw new Error(`${what}: HTTP ${response.status} ${(await response.text()).slice(0, 500)}`);
}

/** The sandbox's own controls: everything an AWS would not offer over its APIs. */
export function createSandboxControl(sandboxUrl: string, adminToken: string) {
  const admin = { authorization: `Bearer ${adminToken}` };
  return {
    url: sandboxUrl,
    /** An AWS account with root credentials; the same one again for the same number. */
    async account(awsAccountId: string): Promise<Account> {
      const response = await fetch(`${sandboxUrl}/_sandbox/accounts`, {
        method: 'POST',
        headers: { ...admin, 'content-type': 'application/json' },
        body: JSON.stringify({ awsAccountId }),
      });
      return (await (await checked(response, 'make account')).json()) as Account;
    },
    /** Where a task of this role gets its credentials, as ECS tells a container. */
    taskCredentialsUri: (awsAccountId: string, roleName: string) =>
      `${sandboxUrl}/_sandbox/container-credentials/${awsAccountId}/${roleName}`,
    async callSummary(): Promise<CallCount[]> {
      const response = await fetch(`${sandboxUrl}/_sandbox/calls/summary`, { headers: admin });
      return ((await (await checked(response, 'read calls')).json()) as { items: CallCount[] }).items;
    },
    /** What software on the instance writes to its disk. */
    async writeDisk(
      owner: Credentials,
      volumeId: string,
      offset: number,
      data: AsyncIterable<Uint8Array>,
    ): Promise<void> {
      const login = Buffer.from(`${owner.accessKeyId}:${owner.secretAccessKey}`).toString('base64');
      const response = await fetch(`${sandboxUrl}/_sandbox/volumes/${volumeId}/data?offset=${offset}`, {
        method: 'PUT',
        headers: { authorization: `Basic ${login}` },
        // Node's fetch streams an async iterable; the DOM's types do not know it.
        body: data as unknown as ReadableStream,
        duplex: 'half',
      } as RequestInit);
      await checked(response, `write ${volumeId}`);
    },
    async readDisk(owner: Credentials, volumeId: string, offset: number, length: number): Promise<Uint8Array> {
      const login = Buffer.from(`${owner.accessKeyId}:${owner.secretAccessKey}`).toString('base64');
      const url = `${sandboxUrl}/_sandbox/volumes/${volumeId}/data?offset=${offset}&length=${length}`;
      const response = await fetch(url, { headers: { authorization: `Basic ${login}` } });
      return new Uint8Array(await (await checked(response, `read ${volumeId}`)).arrayBuffer());
    },
  };
}

export type SandboxControl = ReturnType<typeof createSandboxControl>;
