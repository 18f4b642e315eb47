import {
  type ASTVisitor,
  type FieldNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

const NAMES = ['depth', 'aliases', 'directives', 'cost'] as const;

/** The size of a selection set, fragments expanded. `depth`: levels of fields; `cost`: fields, each as often as executed. */
type Measure = Record<(typeof NAMES)[number], number>;

const MAX_TOTAL = Number.MAX_SAFE_INTEGER;

/** Creates a validation rule that rejects operations over the limits. */
export function limitDocument(limits: Readonly<Measure>) {
  return (context: ValidationContext): ASTVisitor => ({
    OperationDefinition(operation) {
      const measure = measureOperation(operation, context);
      for (const name of NAMES) {
        if (measure[name] <= limits[name]) continue;
        context.reportError(
          new GraphQLError(`The ${name} of the operation is over the limit of ${limits[name]}.`),
        );
      }
    },
  });
}

/**
 * Each fragment is measured once and multiplied, so a fan-out of 2^30 costs no more than its thirty fragments. A
 * cycle counts as empty: graphql-js itself rejects it.
 */
function measureOperation(operation: OperationDefinitionNode, context: ValidationContext): Measure {
  const fragments = new Map<string, Measure>();
  const measureSet = (set: SelectionSetNode | undefined): Measure => {
    const total = { ...EMPTY };
    for (const selection of set?.selections ?? []) {
      add(total, { ...EMPTY, directives: selection.directives?.length ?? 0 });
      if (selection.kind === Kind.FRAGMENT_SPREAD) add(total, measureFragment(selection.name.value));
      else if (selection.kind === Kind.INLINE_FRAGMENT) add(total, measureSet(selection.selectionSet));
      else add(total, withField(selection, measureSet(selection.selectionSet)));
    }
    return total;
  };
  const measureFragment = (name: string): Measure => {
    const known = fragments.get(name);
    if (known) return known;
    fragments.set(name, EMPTY);
    const measure = measureSet(context.getFragment(name)?.selectionSet);
    fragments.set(name, measure);
    return measure;
  };
  return measureSet(operation.selectionSet);
}

function withField({ name, alias }: FieldNode, below: Measure): Measure {
  return {
    ...below,
    depth: depthOf(name.value, below.depth),
    aliases: below.aliases + (alias ? 1 : 0),
    cost: below.cost + 1,
  };
}

const EMPTY: Measure = { depth: 0, aliases: 0, directives: 0, cost: 0 };
/** Enough for the introspection query of graphql-js, which unwraps nine levels of types. */
const INTROSPECTION_DEPTH = 20;

/**
 * Introspection is as deep as types are wrapped, deeper than any data here. Up to its own limit it counts as one
 * level.
 */
function depthOf(field: string, below: number): number {
  return field === '__schema' && below <= INTROSPECTION_DEPTH ? 1 : below + 1;
}

function add(total: Measure, part: Measure): void {
  total.depth = Math.max(total.depth, part.depth);
  for (const name of ['aliases', 'directives', 'cost'] as const) {
    total[name] = Math.min(total[name] + part[name], MAX_TOTAL);
  }
}
