import { writeFileSync } from 'node:fs';
import { openApiDocument } from './openapi.ts';

// Writes docs/openapi.json; a test fails when the committed file differs from what the contract says.
writeFileSync(new URL('../../docs/openapi.json', import.meta.url), `${JSON.stringify(openApiDocument(), null, 2)}\n`);
