import { AwsError } from '../service.ts';

type Json = Record<string, unknown>;
export type Parameter = {
  Type: string;
  Default?: string | number;
  AllowedValues?: unknown[];
  AllowedPattern?: string;
  NoEcho?: boolean;
  Description?: string;
};
export type ResourceText = { Type: string; Properties?: Json; DependsOn?: string | string[]; Condition?: string };
export type Template = {
  Description?: string;
  Parameters: Record<string, Parameter>;
  Conditions: Json;
  Resources: Record<string, ResourceText>;
  Outputs: Record<string, { Value: unknown; Description?: string; Condition?: string }>;
};

export const invalid = (message: string) => new AwsError('ValidationError', 400, message);

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const SECTIONS = [
  'AWSTemplateFormatVersion',
  'Description',
  'Metadata',
  'Parameters',
  'Rules',
  'Mappings',
  'Conditions',
  'Resources',
  'Outputs',
];

/** A template of JSON. CloudFormation takes YAML too; the sandbox says that it does not. */
export function parseTemplate(text: string): Template {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw invalid('Template format error: JSON not well-formed. (The sandbox takes no YAML.)');
  }
  if (!isObject(document)) throw invalid('Template format error: unsupported structure.');
  const unknown = Object.keys(document).filter((name) => !SECTIONS.includes(name));
  if (unknown.length > 0) throw invalid(`Invalid template property or properties [${unknown.join(', ')}]`);
  const resources = document['Resources'];
  if (!isObject(resources) || Object.keys(resources).length === 0)
    throw invalid('Template format error: At least one Resources member must be defined.');
  return {
    ...(typeof document['Description'] === 'string' ? { Description: document['Description'] } : {}),
    Parameters: (document['Parameters'] ?? {}) as Template['Parameters'],
    Conditions: (document['Conditions'] ?? {}) as Json,
    Resources: resources as Template['Resources'],
    Outputs: (document['Outputs'] ?? {}) as Template['Outputs'],
  };
}

/** Values of a template's parameters: given, else default. Source: CloudFormation user guide, "Parameters". */
export function parameterValues(template: Template, given: ReadonlyMap<string, string>): Record<string, string> {
  const extra = [...given.keys()].filter((name) => !Object.hasOwn(template.Parameters, name));
  if (extra.length > 0) throw invalid(`Parameters: [${extra.join(', ')}] do not exist in the template`);
  const entries = Object.entries(template.Parameters);
  const without = entries.filter(([name, { Default }]) => !given.has(name) && Default === undefined);
  if (without.length > 0) throw invalid(`Parameters: [${without.map(([name]) => name).join(', ')}] must have values`);
  return Object.fromEntries(
    entries.map(([name, parameter]) => {
      const value = given.get(name) ?? String(parameter.Default);
      if (parameter.AllowedValues && !parameter.AllowedValues.map(String).includes(value))
        throw invalid(`Parameter '${name}' must be one of AllowedValues`);
      if (parameter.AllowedPattern && !new RegExp(`^(?:${parameter.AllowedPattern})$`).test(value))
        throw invalid(`Parameter '${name}' must match pattern ${parameter.AllowedPattern}`);
      return [name, value];
    }),
  );
}

/** What functions of a template look up: parameters, pseudo parameters, and what has been made so far. */
export type Scope = {
  values: Record<string, string>;
  pseudo: Record<string, string>;
  /** Physical id and attributes of each resource that exists. */
  made: ReadonlyMap<string, { physicalId: string; attributes: Record<string, string> }>;
};

const NO_VALUE = Symbol('AWS::NoValue');

function lookUp(scope: Scope, name: string): string | typeof NO_VALUE {
  if (name === 'AWS::NoValue') return NO_VALUE;
  const known = scope.values[name] ?? scope.pseudo[name] ?? scope.made.get(name)?.physicalId;
  if (known === undefined) throw invalid(`Template error: unresolved reference ${name}`);
  return known;
}

function attributeOf(scope: Scope, resource: string, attribute: string): string {
  const found = scope.made.get(resource)?.attributes[attribute];
  if (found === undefined) throw invalid(`Template error: resource ${resource} has no attribute ${attribute}`);
  return found;
}

export function isTrue(template: Template, scope: Scope, condition: unknown): boolean {
  if (typeof condition === 'string') {
    if (!Object.hasOwn(template.Conditions, condition))
      throw invalid(`Template format error: Unresolved condition dependency ${condition}`);
    return isTrue(template, scope, template.Conditions[condition]);
  }
  const [[name, argument] = ['', undefined]] = Object.entries(isObject(condition) ? condition : {});
  const list = Array.isArray(argument) ? (argument as unknown[]) : [];
  if (name === 'Condition') return isTrue(template, scope, argument);
  if (name === 'Fn::Equals') {
    const [a, b] = list.map((one) => resolve(template, scope, one));
    return a === b;
  }
  if (name === 'Fn::And') return list.every((one) => isTrue(template, scope, one));
  if (name === 'Fn::Or') return list.some((one) => isTrue(template, scope, one));
  if (name === 'Fn::Not') return !isTrue(template, scope, list[0]);
  throw invalid(`Template error: ${name || 'an empty condition'} is no condition function`);
}

function substitute(template: Template, scope: Scope, argument: unknown): string {
  const [text, own] = Array.isArray(argument) ? (argument as [string, Json]) : [String(argument), {}];
  return text.replaceAll(/\$\{([^!{}][^{}]*)\}/g, (_, name: string) => {
    if (Object.hasOwn(own, name)) return String(resolve(template, scope, own[name]));
    const [resource = '', attribute] = name.split('.');
    return attribute === undefined ? String(lookUp(scope, resource)) : attributeOf(scope, resource, attribute);
  });
}

const FUNCTIONS: Record<string, (template: Template, scope: Scope, argument: unknown) => unknown> = {
  Ref: (_, scope, argument) => lookUp(scope, String(argument)),
  'Fn::GetAtt': (_, scope, argument) => {
    const [resource = '', attribute = ''] = Array.isArray(argument)
      ? argument.map(String)
      : String(argument).split('.');
    return attributeOf(scope, resource, attribute);
  },
  'Fn::If': (template, scope, argument) => {
    const [condition, yes, no] = argument as [unknown, unknown, unknown];
    return resolve(template, scope, isTrue(template, scope, condition) ? yes : no);
  },
  'Fn::Sub': substitute,
  'Fn::Join': (template, scope, argument) => {
    const [separator, list] = argument as [string, unknown];
    return (resolve(template, scope, list) as unknown[]).join(separator);
  },
  'Fn::Split': (template, scope, argument) => {
    const [separator, text] = argument as [string, unknown];
    return String(resolve(template, scope, text)).split(separator);
  },
  'Fn::Select': (template, scope, argument) => {
    const [index, list] = argument as [number | string, unknown];
    return (resolve(template, scope, list) as unknown[])[Number(index)];
  },
};

/** A value of a template with its functions worked out. What is `AWS::NoValue` is left out. */
export function resolve(template: Template, scope: Scope, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => resolve(template, scope, one)).filter((one) => one !== NO_VALUE);
  if (!isObject(value)) return value;
  const [[name, argument] = ['', undefined], ...more] = Object.entries(value);
  if (more.length === 0 && Object.hasOwn(FUNCTIONS, name)) return FUNCTIONS[name]?.(template, scope, argument);
  if (more.length === 0 && name.startsWith('Fn::')) throw invalid(`Template error: ${name} is not known here`);
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, one]) => [key, resolve(template, scope, one)] as const)
      .filter(([, one]) => one !== NO_VALUE),
  );
}

/** Logical ids in an order in which each comes after what it refers to. */
export function creationOrder(template: Template): string[] {
  const names = Object.keys(template.Resources);
  const needs = (name: string): string[] => {
    const resource = template.Resources[name];
    const text = JSON.stringify(resource?.Properties ?? {});
    const explicit = [resource?.DependsOn ?? []].flat();
    const mentioned = (other: string) =>
      text.includes(`{"Ref":"${other}"}`) ||
      text.includes(`{"Fn::GetAtt":["${other}",`) ||
      text.includes(`{"Fn::GetAtt":"${other}.`) ||
      text.includes(`\${${other}}`) ||
      text.includes(`\${${other}.`);
    return names.filter((other) => other !== name && (explicit.includes(other) || mentioned(other)));
  };
  const order: string[] = [];
  const visit = (name: string, trail: readonly string[]) => {
    if (order.includes(name)) return;
    if (trail.includes(name)) throw invalid(`Circular dependency between resources: [${trail.join(', ')}]`);
    for (const other of needs(name)) visit(other, [...trail, name]);
    order.push(name);
  };
  for (const name of names) visit(name, []);
  return order;
}
