import { DirectiveLocation, GraphQLDirective, GraphQLList, GraphQLNonNull, GraphQLScalarType } from 'graphql';
import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLSchema,
  isInterfaceType,
  isObjectType,
} from 'graphql';
import { Directive, Extensions } from 'type-graphql';
import { missingScopes } from '../accounts/consented-scope.js';
import { BadUserInputError, ForbiddenError } from '../errors.js';
import { type RequestContext, requireViewer } from './context.js';

/** Who may ask for a field: anybody, a signed-in caller, or one whose token carries all of these scopes. */
export type AccessRule = 'public' | 'authenticated' | readonly string[];

/**
 * Declares who may ask for a field, next to the field; on a type, for those of its fields that say nothing.
 *
 * In the printed schema it is the federation spelling: `@authenticated`, `@requiresScopes(scopes: [["email"]])`.
 */
export function Access(rule: AccessRule): MethodDecorator & PropertyDecorator & ClassDecorator {
  const decorators = [Extensions({ access: rule }), ...directivesOf(rule).map((sdl) => Directive(sdl))];
  return ((...target: [object, string, never]) => {
    for (const decorate of decorators) (decorate as (...args: unknown[]) => void)(...target);
  }) as MethodDecorator & PropertyDecorator & ClassDecorator;
}

/** The directives as the federation specification defines them. */
export const accessDirectives = [
  new GraphQLDirective({
    name: 'authenticated',
    description: 'Needs a signed-in caller.',
    locations: [DirectiveLocation.FIELD_DEFINITION, DirectiveLocation.OBJECT],
  }),
  new GraphQLDirective({
    name: 'requiresScopes',
    description: "Needs these scopes in the caller's access token: one of the inner lists, whole.",
    locations: [DirectiveLocation.FIELD_DEFINITION, DirectiveLocation.OBJECT],
    args: {
      scopes: {
        type: new GraphQLNonNull(
          new GraphQLList(
            new GraphQLNonNull(
              new GraphQLList(new GraphQLNonNull(new GraphQLScalarType({ name: 'federation__Scope' }))),
            ),
          ),
        ),
      },
    },
  }),
];

/**
 * Puts a guard before every field of the schema. A field without a rule is a defect of ours: the schema is refused.
 *
 * Every guard also ends the work of a request whose time is over.
 */
export function guardSchema(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      const rule = readRule(field.extensions) ?? readRule(type.extensions);
      if (rule === undefined) throw new Error(`${type.name}.${field.name} does not say who may ask for it`);
      guardField(field, rule);
    }
  }
}

function guardField(field: GraphQLField<unknown, RequestContext>, rule: AccessRule): void {
  const resolve = field.resolve ?? defaultFieldResolver;
  if (rule === 'public' && field.resolve === undefined) return;
  field.resolve = (source, args, context, info) => {
    context.signal.throwIfAborted();
    if (rule !== 'public') requireViewer(context);
    if (typeof rule !== 'string') requireScopes(context, rule);
    return resolve(source, args, context, info);
  };
}

/** The caller is judged by the token presented, whatever the stored one may. Throws `ForbiddenError`. */
function requireScopes(context: RequestContext, required: readonly string[]): void {
  const { scopes } = requireViewer(context);
  const missing = missingScopes(required, scopes);
  if (missing.length > 0) throw new ForbiddenError(required, missing);
}

/**
 * The scopes that these fields need, each once. Throws `BadUserInputError` for what is not the coordinate of a field.
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
  return [...new Set(rules.filter((rule) => typeof rule === 'object').flat())];
}

function readRule(extensions: Readonly<Record<string, unknown>>): AccessRule | undefined {
  return extensions['access'] as AccessRule | undefined;
}

function directivesOf(rule: AccessRule): string[] {
  if (rule === 'public') return [];
  if (rule === 'authenticated') return ['@authenticated'];
  return [`@requiresScopes(scopes: ${JSON.stringify([rule])})`];
}
