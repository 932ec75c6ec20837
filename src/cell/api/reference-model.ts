import { PROBLEMS } from '../../contract/problems.ts';
import { FAULTS } from '../../core/faults.ts';

/** The parts of a JSON schema that our contract uses. */
type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  allOf?: Schema[];
  additionalProperties?: Schema | boolean;
  default?: unknown;
  example?: unknown;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  pattern?: string;
};
type Content = Record<string, { schema: Schema }>;
type PathOperation = {
  operationId: string;
  tags?: string[];
  summary?: string;
  description?: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; schema: Schema; description?: string }[];
  requestBody?: { content: Content };
  responses: Record<string, { description: string; content?: Content }>;
};
type Document = {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, PathOperation>>;
  components: { schemas: Record<string, Schema> };
};

/** One line of a table of fields: dotted path, type, whether it must be given, and what it means. */
export type Field = { name: string; type: string; required: boolean; text: string };
export type ReferenceOperation = {
  id: string;
  method: string;
  path: string;
  summary: string;
  description: string;
  key: 'tenant' | 'operator' | 'none';
  parameters: Field[];
  body: Field[];
  responses: { status: string; description: string; type: string; fields: Field[] }[];
  curl: string;
};
export type ReferenceModel = {
  title: string;
  version: string;
  description: string;
  groups: { tag: string; operations: ReferenceOperation[] }[];
  problems: { code: string; status: number; title: string; retry: string; owner: string }[];
};

const DEPTH_MAX = 4;

function limits(schema: Schema): string {
  const { minimum, maximum, maxLength, maxItems, format } = schema;
  const parts = [
    format && format !== 'date-time' ? format : undefined,
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `from ${minimum}` : undefined,
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `to ${maximum}` : undefined,
    maxLength === undefined ? undefined : `at most ${maxLength} characters`,
    maxItems === undefined ? undefined : `at most ${maxItems}`,
    schema.default === undefined ? undefined : `default ${JSON.stringify(schema.default)}`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

function createFields(document: Document) {
  const resolve = (schema: Schema): Schema => {
    const named = schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] : undefined;
    const one = named ? { ...named, ...(schema.description ? { description: schema.description } : {}) } : schema;
    const parts = (one.allOf ?? []).map(resolve);
    if (parts.length === 0) return one;
    const properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}), one.properties ?? {});
    return {
      ...Object.assign({}, ...parts),
      ...one,
      properties,
      required: parts.flatMap((part) => part.required ?? []),
    };
  };
  const typeOf = (schema: Schema): string => {
    const name = schema.$ref?.split('/').at(-1);
    const full = resolve(schema);
    if (full.enum) return full.enum.map(String).join(' | ');
    if (full.anyOf) return full.anyOf.map(typeOf).join(' | ');
    if (full.type === 'array') return `${typeOf(full.items ?? {})}[]`;
    const types = [full.type ?? 'any']
      .flat()
      .map((type) => (type !== 'null' && full.format === 'date-time' ? 'timestamp' : type));
    return name ?? types.join(' | ');
  };
  const inner = (schema: Schema): Schema => {
    const full = resolve(schema);
    if (full.type === 'array') return inner(full.items ?? {});
    const option = full.anyOf?.map(resolve).find((part) => part.properties);
    return option ?? full;
  };
  const fieldsOf = (schema: Schema, prefix = '', depth = 0): Field[] => {
    const full = inner(schema);
    return Object.entries(full.properties ?? {}).flatMap(([name, child]) => {
      const node = resolve(child);
      const many = node.type === 'array' ? '[]' : '';
      const text = [node.description, limits(node)].filter(Boolean).join('. ');
      const field = {
        name: prefix + name,
        type: typeOf(child),
        required: full.required?.includes(name) ?? false,
        text,
      };
      return depth >= DEPTH_MAX ? [field] : [field, ...fieldsOf(child, `${prefix}${name}${many}.`, depth + 1)];
    });
  };
  const exampleOf = (schema: Schema, depth = 0): unknown => {
    const full = resolve(schema);
    if (full.example !== undefined) return full.example;
    if (full.default !== undefined) return full.default;
    if (full.enum) return full.enum[0];
    if (full.type === 'array') return depth > DEPTH_MAX ? [] : [exampleOf(full.items ?? {}, depth + 1)];
    if (full.type === 'integer' || full.type === 'number') return full.minimum ?? 1;
    if (full.type === 'boolean') return true;
    if (full.properties)
      return Object.fromEntries(
        Object.entries(full.properties)
          .filter(([name]) => full.required?.includes(name))
          .map(([name, child]) => [name, exampleOf(child, depth + 1)]),
      );
    return '…';
  };
  return { typeOf, fieldsOf, exampleOf };
}

function keyOf(operation: PathOperation): ReferenceOperation['key'] {
  if (!operation.security?.length) return 'none';
  return /operator key/.test(operation.summary ?? '') ? 'operator' : 'tenant';
}

function curlOf(operation: Pick<ReferenceOperation, 'method' | 'path' | 'key'>, url: string, body: unknown): string {
  // Double quotes, because the shell is to fill in the ids; curl itself would take {id} for a pattern.
  const path = operation.path.replaceAll(
    /\{(\w+)\}/g,
    (_, name: string) => `$${name.replace('I', '_I').toUpperCase()}`,
  );
  const lines = [`curl ${operation.method === 'GET' ? '' : `-X ${operation.method} `}"${url}${path}"`];
  if (operation.key !== 'none')
    lines.push(`-H "Authorization: Bearer $${operation.key === 'operator' ? 'OPERATOR_KEY' : 'API_KEY'}"`);
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body, null, 2)}'`);
  return lines.join(' \\\n  ');
}

/** The reference as data, from the OpenAPI document alone. `cellUrl` is where its examples point. */
export function apiModel(openApi: unknown, cellUrl: string): ReferenceModel {
  const document = openApi as Document;
  const { typeOf, fieldsOf, exampleOf } = createFields(document);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([verb, operation]) => {
      const method = verb.toUpperCase();
      const key = keyOf(operation);
      const body = operation.requestBody?.content['application/json']?.schema;
      const parameters = (operation.parameters ?? []).map(
        ({ name, in: where, required = false, schema, description }) => ({
          name: where === 'path' ? `{${name}}` : where === 'query' ? `?${name}` : name,
          type: typeOf(schema),
          required,
          text: [description ?? schema.description, limits(schema)].filter(Boolean).join('. '),
        }),
      );
      const responses = Object.entries(operation.responses).map(([status, { description, content }]) => {
        const schema = Object.values(content ?? {})[0]?.schema;
        const isProblem = status === 'default';
        const fields = schema && !isProblem ? fieldsOf(schema) : [];
        return { status, description, type: schema ? typeOf(schema) : '', fields };
      });
      const tag = operation.tags?.[0] ?? 'Other';
      const base = { id: operation.operationId, method, path, key, summary: operation.summary ?? '', tag };
      const curl = curlOf(base, cellUrl, body ? exampleOf(body) : undefined);
      const fields = body ? fieldsOf(body) : [];
      return { ...base, description: operation.description ?? '', parameters, body: fields, responses, curl };
    }),
  );
  return {
    title: document.info.title,
    version: document.info.version,
    description: document.info.description ?? '',
    groups: [...new Set(operations.map(({ tag }) => tag))].map((tag) => ({
      tag,
      operations: operations.filter((operation) => operation.tag === tag),
    })),
    problems: Object.entries(PROBLEMS).map(([code, { status, title }]) => {
      const { retry, owner } = FAULTS[code as keyof typeof FAULTS];
      return { code, status, title, retry, owner };
    }),
  };
}
