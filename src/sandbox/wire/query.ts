/**
 * A query-protocol parameter tree: `Filter.1.Name=x` becomes `{Filter: {1: {Name: 'x'}}}`. EC2, STS and IAM speak it.
 */
export type Params = { [name: string]: string | Params };

export function parseForm(body: Buffer): Params {
  const root: Params = Object.create(null) as Params;
  for (const [path, value] of new URLSearchParams(body.toString('utf8'))) {
    const parts = path.split('.');
    let at = root;
    for (const part of parts.slice(0, -1)) {
      const next = at[part];
      at = typeof next === 'object' ? next : (at[part] = Object.create(null) as Params);
    }
    at[parts.at(-1) ?? ''] = value;
  }
  return root;
}

/** A text parameter, or undefined. */
export function text(params: Params, name: string): string | undefined {
  const value = params[name];
  return typeof value === 'string' ? value : undefined;
}

/** A nested parameter, or an empty one. */
export function nested(params: Params, name: string): Params {
  const value = params[name];
  return typeof value === 'object' ? value : {};
}

function indexed(params: Params): (string | Params)[] {
  const members = typeof params['member'] === 'object' ? params['member'] : params;
  return Object.entries(members)
    .filter(([key]) => /^\d+$/.test(key))
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, value]) => value);
}

/** `Name.1=a&Name.2=b` (or `Name.member.1`, as STS and IAM write) as texts. */
export function textList(params: Params, name: string): string[] {
  return indexed(nested(params, name)).filter((value) => typeof value === 'string');
}

/** `Name.1.Key=…&Name.1.Value=…` as nested parameters. */
export function nestedList(params: Params, name: string): Params[] {
  return indexed(nested(params, name)).filter((value) => typeof value === 'object');
}

export function bool(params: Params, name: string): boolean | undefined {
  const value = text(params, name);
  return value === undefined ? undefined : value === 'true';
}

export function integer(params: Params, name: string): number | undefined {
  const value = text(params, name);
  return value === undefined ? undefined : Number(value);
}
