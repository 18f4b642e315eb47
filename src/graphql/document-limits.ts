import {
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

/** How large a document may be, once its fragments are unfolded. */
export interface DocumentLimits {
  /** Levels of fields. */
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  /** Fields, each counted as often as it would be answered. */
  readonly cost: number;
}

/** What a selection amounts to, fragments unfolded. */
type Measure = { -readonly [Name in keyof DocumentLimits]: number };

const UNFOLDED_AT_MOST = Number.MAX_SAFE_INTEGER;

/**
 * A validation rule that refuses documents beyond the limits.
 *
 * Each fragment is measured once and multiplied, so a fan-out of 2^30 costs no more than its thirty fragments;
 * graphql-js itself refuses cycles, which count as nothing here.
 */
export function limitDocument(limits: DocumentLimits) {
  return (context: ValidationContext): ASTVisitor => {
    const fragments = new Map<string, Measure>();
    const measureSet = (set: SelectionSetNode): Measure => {
      const total: Measure = { depth: 0, aliases: 0, directives: 0, cost: 0 };
      for (const selection of set.selections) {
        add(total, { depth: 0, aliases: 0, directives: selection.directives?.length ?? 0, cost: 0 });
        if (selection.kind === Kind.FRAGMENT_SPREAD) add(total, measureFragment(selection.name.value));
        else if (selection.kind === Kind.INLINE_FRAGMENT) add(total, measureSet(selection.selectionSet));
        else {
          const below = selection.selectionSet ? measureSet(selection.selectionSet) : EMPTY;
          const alias = selection.alias ? 1 : 0;
          add(total, {
            ...below,
            depth: depthOf(selection.name.value, below.depth),
            aliases: below.aliases + alias,
            cost: below.cost + 1,
          });
        }
      }
      return total;
    };
    const measureFragment = (name: string): Measure => {
      const known = fragments.get(name);
      if (known) return known;
      fragments.set(name, EMPTY);
      const fragment: FragmentDefinitionNode | null | undefined = context.getFragment(name);
      const measure = fragment ? measureSet(fragment.selectionSet) : EMPTY;
      fragments.set(name, measure);
      return measure;
    };
    return {
      OperationDefinition(operation) {
        const measure = measureSet(operation.selectionSet);
        for (const name of NAMES) {
          if (measure[name] <= limits[name]) continue;
          context.reportError(
            new GraphQLError(`The ${name} of the operation is over the limit of ${limits[name]}.`),
          );
        }
      },
    };
  };
}

const EMPTY: Measure = { depth: 0, aliases: 0, directives: 0, cost: 0 };
/** Enough for the query that graphql-js itself sends, which unwraps nine levels of types. */
const INTROSPECTION_DEPTH = 20;
const NAMES = ['depth', 'aliases', 'directives', 'cost'] as const;

/**
 * The schema's description of itself is as deep as its types are wrapped, deeper than any data here. Where it may be
 * asked for at all, it may be asked for whole, but not without end.
 */
function depthOf(field: string, below: number): number {
  return field === '__schema' && below <= INTROSPECTION_DEPTH ? 1 : below + 1;
}

function add(total: Measure, part: Measure): void {
  total.depth = Math.max(total.depth, part.depth);
  for (const name of ['aliases', 'directives', 'cost'] as const) {
    total[name] = Math.min(total[name] + part[name], UNFOLDED_AT_MOST);
  }
}
