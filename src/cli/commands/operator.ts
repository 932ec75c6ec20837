import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { Option } from '@commander-js/extra-typings';
import type { Answer } from '../api-client.ts';
import { keepKey } from '../key-file.ts';
import { listItems } from '../listing.ts';
import type { Session } from '../session.ts';
import { facts, formatTime } from '../table.ts';
import { limitOption, showList } from './list-output.ts';

const demoOption = () => new Option('--demo <cell>', "use the demo's operator key of this cell");

function certificateLines(certificate: Answer<'GET /v1/operator/certificate'>): string[] {
  return facts({
    subject: certificate.subject,
    serial: certificate.serialNumber,
    sha256: certificate.sha256,
    'valid from': formatTime(certificate.notBefore),
    'valid until': formatTime(certificate.notAfter),
  });
}

function addTenants(operator: CommandUnknownOpts, session: Session): void {
  const tenants = operator.command('tenants').description('Tenants of a cell.');
  tenants
    .command('create')
    .description('Create a tenant; its first API key is shown this once.')
    .requiredOption('--name <name>', 'name of the tenant')
    .addOption(new Option('--tier <tier>', 'price plan').choices(['standard', 'enterprise'] as const))
    .option('--key-file <file>', 'write the key there, readable only by you, instead of showing it')
    .addOption(demoOption())
    .action(async ({ demo, name, tier, keyFile }) => {
      const api = session.operatorApi(demo);
      const tenant = await keepKey(keyFile, () => api.call('POST /v1/tenants', { body: { name, tier } }));
      session.show(tenant, () =>
        facts({
          tenant: tenant.tenantId,
          name: tenant.name,
          tier: tenant.tier,
          jurisdiction: tenant.jurisdiction,
          'api key': tenant.apiKey ?? `in ${keyFile}`,
        }),
      );
      if (keyFile === undefined) session.hint('Hand the key over now: it is not shown again.');
    });
  tenants
    .command('list')
    .description('List the tenants of the cell.')
    .addOption(limitOption())
    .addOption(demoOption())
    .action(async ({ demo, limit }) =>
      showList(session, 'tenants', await listItems(session.operatorApi(demo), 'GET /v1/tenants', limit), [
        { title: 'TENANT', text: (tenant) => tenant.tenantId },
        { title: 'NAME', text: (tenant) => tenant.name },
        { title: 'TIER', text: (tenant) => tenant.tier },
        { title: 'JURISDICTION', text: (tenant) => tenant.jurisdiction },
        { title: 'CREATED', text: (tenant) => formatTime(tenant.createdAt) },
      ]),
    );
}

export function addOperator(program: CommandUnknownOpts, session: Session): void {
  const operator = program
    .command('operator')
    .description('For the operator of a cell, with DOMICILE_OPERATOR_KEY or --demo.');
  addTenants(operator, session);
  const certs = operator.command('certs').description("The certificate of a cell's listener.");
  certs
    .command('show')
    .description('The certificate in use.')
    .addOption(demoOption())
    .action(async ({ demo }) => {
      const certificate = await session.operatorApi(demo).call('GET /v1/operator/certificate');
      session.show(certificate, () => certificateLines(certificate));
    });
  certs
    .command('rotate')
    .description('Issue a new certificate and swap it in without dropping a connection.')
    .addOption(demoOption())
    .action(async ({ demo }) => {
      const certificate = await session.operatorApi(demo).call('POST /v1/operator/certificate/rotate');
      session.show(certificate, () => certificateLines(certificate));
    });
}
