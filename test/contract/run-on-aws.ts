import { parseArgs } from 'node:util';
import { DescribeImagesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { type Case, judge, type Outcome } from './case.ts';
import { openLab, type Place } from './lab.ts';
import { CONTRACT, refusals } from './table.ts';

const PLAN = (
  awsRegion: string,
) => `The contract: ${CONTRACT.length} cases, ${refusals(CONTRACT).length} of them refusals, in ${awsRegion}.

It makes, under names that begin with "contract-", and removes again:
  1 t3.micro instance for about 15 minutes        about 0.01 USD
  about 30 snapshots and 15 volumes of 1-10 GiB   about 0.02 USD
  about 10 KMS keys, scheduled for deletion       about 0.05 USD
  4 buckets with a few objects, 30 roles, 1 user  less than 0.01 USD
Volumes and objects under lock leave last: one bucket can be deleted only when its locks have ended, 30 minutes later.
Use an account that holds nothing else, with administrator rights.
`;

/** Amazon's newest small Linux image of the region. */
async function newestImage(ec2: EC2Client): Promise<string> {
  const Filters = [{ Name: 'name', Values: ['al2023-ami-*-x86_64'] }];
  const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'], Filters }));
  const newest = Images.toSorted((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''))[0];
  if (newest?.ImageId === undefined) throw new Error('no image of Amazon Linux was found; set CONTRACT_IMAGE_ID');
  return newest.ImageId;
}

async function placeOf(awsRegion: string): Promise<Place> {
  const credentials = await fromNodeProviderChain()();
  // Only to rehearse: the variable is the SDK's own.
  const endpoint = process.env['AWS_ENDPOINT_URL'];
  const at = { awsRegion, credentials, ...(endpoint === undefined ? {} : { endpoint }) };
  const ec2 = new EC2Client({ region: awsRegion, credentials, ...(endpoint === undefined ? {} : { endpoint }) });
  return { ...at, imageId: process.env['CONTRACT_IMAGE_ID'] ?? (await newestImage(ec2)) };
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const rowOf = (one: Case, { ok, observed }: Outcome) =>
  `| ${ok ? 'as expected' : '**differs**'} | \`${one.id}\` | ${cell(one.about)} | ${cell(observed)} | ${cell(one.source)} |`;

async function run(place: Place): Promise<number> {
  const lab = openLab(place);
  let differing = 0;
  process.stdout.write(
    `# The contract on ${place.endpoint ?? 'AWS'}, ${place.awsRegion}, ${new Date().toISOString()}\n\n`,
  );
  process.stdout.write('| result | case | about | observed | source |\n|---|---|---|---|---|\n');
  try {
    for (const one of CONTRACT) {
      const outcome = await judge(one, lab);
      if (!outcome.ok) differing += 1;
      process.stdout.write(`${rowOf(one, outcome)}\n`);
    }
  } finally {
    process.stderr.write('Removing what was made.\n');
    for (const left of await lab.close()) process.stderr.write(`left: ${left}\n`);
  }
  process.stdout.write(`\n${CONTRACT.length - differing} as expected, ${differing} differ.\n`);
  return differing === 0 ? 0 : 1;
}

const { values } = parseArgs({ options: { yes: { type: 'boolean', default: false } } });
const awsRegion = process.env['CONTRACT_AWS_REGION'];
if (awsRegion === undefined) {
  process.stderr.write('Set CONTRACT_AWS_REGION to the AWS region to use, such as eu-central-1.\n');
  process.exitCode = 64;
} else if (values.yes) process.exitCode = await run(await placeOf(awsRegion));
else process.stderr.write(`${PLAN(awsRegion)}\nNothing was made. To go on: npm run contract:aws -- --yes\n`);
