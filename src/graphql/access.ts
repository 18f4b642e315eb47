// TypeGraphQL needs it before the first decorator runs, and every file with a decorator imports this one.
import 'reflect-metadata';
import {
  buildSchema,
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  isInterfaceType,
  isObjectType,
} from 'graphql';
import { Directive, Extensions } from 'type-graphql';
import { BadUserInputError, ForbiddenError } from '../errors.js';
import { missingScopes } from '../scope.js';
import { type RequestContext, requireViewer } from './context.js';

/** Who may select a field: anyone, a signed-in caller, or one whose access token carries all of these scopes. */
export type AccessRule = 'public' | 'authenticated' | readonly string[];

/**
 * Declares who may select a field, beside the field; on a type it is the default of its fields. The guards, what
 * `ConsentedScope.unlocks` and `missingScopes` return, and the tables of docs/galaxy.md are derived from it.
 *
 * In the printed schema it is the federation spelling: `@authenticated`, `@requiresScopes(scopes: [["email"]])`.
 */
export function Access(rule: AccessRule): MethodDecorator & PropertyDecorator & ClassDecorator {
  const decorators = [Extensions({ access: rule }), ...directivesOf(rule).map((sdl) => Directive(sdl))];
  return ((...target: [object, string, never]) => {
    for (const decorate of decorators) decorate(...target);
  }) as MethodDecorator & PropertyDecorator & ClassDecorator;
}

/** Federation's access directives, at the locations used here, and those of GraphQL itself. */
export const directives = buildSchema(
  `"Needs a signed-in caller."
  directive @authenticated on FIELD_DEFINITION | OBJECT

  "Needs these scopes in the caller's access token: one of the inner lists, whole."
  directive @requiresScopes(scopes: [[federation__Scope!]!]!) on FIELD_DEFINITION | OBJECT

  scalar federation__Scope`,
  { assumeValid: true },
).getDirectives();

/**
 * Puts a guard before every field of the schema: default deny. Throws for a field without a rule.
 *
 * Every guard also stops a request whose deadline has passed.
 */
export function guardSchema(schema: GraphQLSchema): void {
  for (const { coordinate, field, rule } of fieldsOf(schema)) {
    if (rule === undefined) throw new Error(`${coordinate} does not declare who may select it`);
    guardField(field, rule);
  }
}

/** The schema coordinates that each scope unlocks, such as `User.email` for `email`. */
export function fieldsByScope(schema: GraphQLSchema): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  for (const { coordinate, rule } of fieldsOf(schema)) {
    for (const scope of scopesIn(rule)) fields.set(scope, [...(fields.get(scope) ?? []), coordinate]);
  }
  return fields;
}

/** The scopes that the field being resolved declares. */
export function requiredScopes({ parentType, fieldName }: GraphQLResolveInfo): readonly string[] {
  const field = parentType.getFields()[fieldName];
  return scopesIn(readRule(field?.extensions) ?? readRule(parentType.extensions));
}

function guardField(field: GraphQLField<unknown, RequestContext>, rule: AccessRule): void {
  const resolve = field.resolve ?? defaultFieldResolver;
  if (rule === 'public' && field.resolve === undefined) return;
  field.resolve = (source, args, context, info) => {
    context.request.signal.throwIfAborted();
    if (rule !== 'public') requireViewer(context);
    if (typeof rule !== 'string') requireScopes(context, rule);
    return resolve(source, args, context, info);
  };
}

/** Checks the presented token, whatever the stored one allows. Throws `ForbiddenError`. */
function requireScopes(context: RequestContext, required: readonly string[]): void {
  const { scopes } = requireViewer(context);
  const missing = missingScopes(required, scopes);
  if (missing.length > 0) throw new ForbiddenError(required, missing);
}

/**
 * The scopes that these fields need, each once. Throws `BadUserInputError` for anything but the coordinate of a field.
 *
 * @param coordinates such as `RollupAccount.profile` (GraphQL specification §3.14, schema coordinates).
 */
export function requiredScopesOf(schema: GraphQLSchema, coordinates: readonly string[]): string[] {
  const rules = coordinates.map((coordinate) => {
    const [typeName = '', fieldName = '', ...more] = coordinate.split('.');
    const type = schema.getType(typeName);
    const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[fieldName] : undefined;
    if (!type || !field || more.length > 0) {
      throw new BadUserInputError('Name fields of this schema, such as "RollupAccount.profile".');
    }
    return readRule(field.extensions) ?? readRule(type.extensions);
  });
  return [...new Set(rules.flatMap(scopesIn))];
}

function* fieldsOf(schema: GraphQLSchema) {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      const rule = readRule(field.extensions) ?? readRule(type.extensions);
      yield { coordinate: `${type.name}.${field.name}`, field, rule };
    }
  }
}

function readRule(extensions: Readonly<Record<string, unknown>> | undefined): AccessRule | undefined {
  return extensions?.['access'] as AccessRule | undefined;
}

function scopesIn(rule: AccessRule | undefined): readonly string[] {
  return typeof rule === 'object' ? rule : [];
}

function directivesOf(rule: AccessRule): string[] {
  if (rule === 'public') return [];
  if (rule === 'authenticated') return ['@authenticated'];
  return [`@requiresScopes(scopes: ${JSON.stringify([rule])})`];
}
