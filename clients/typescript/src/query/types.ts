/** What the bridge offers, as users of it see it. */
import type {
  DataTag,
  InfiniteData,
  InfiniteQueryObserverOptions,
  MutationObserverOptions,
  NetworkMode,
  QueryFunction,
  QueryKey,
  QueryObserverOptions,
} from '@tanstack/query-core'
import type { CrewlineError } from '../core/error.js'
import type { AppShape, Asked as AskedOf, InputOf, NameOf, Operations, OpName, OutputOf } from '../core/types.js'
import type { Page } from '../protocol.js'
import type { Asked, OptimisticCache } from './overlay.js'
import type { PageParam } from './store.js'

/** What of TanStack's options a query of the bridge decides by itself. */
type Decided = 'queryKey' | 'queryFn' | 'queryHash' | 'queryKeyHashFn' | 'structuralSharing' | 'networkMode' | 'select' | 'initialPageParam' | 'getNextPageParam'

/** TanStack's own options, and `live`. */
export type QueryExtras<Output, Data> = Partial<Omit<QueryObserverOptions<Output, CrewlineError, Data, Output, QueryKey>, Decided>> & {
  /** What of the data is handed on; the data itself stays in the cache. */
  select?: (data: Output) => Data
  /** `false`: a plain read, fetched as TanStack Query fetches. Absent: followed, where the server can. */
  live?: boolean
}

/** Plain options of TanStack Query. */
export type QueryOptionsFor<Output, Data = Output> = Omit<QueryExtras<Output, Data>, 'live'> & {
  queryKey: DataTag<QueryKey, Output, CrewlineError>
  queryFn: QueryFunction<Output, QueryKey>
  queryKeyHashFn: (key: QueryKey) => string
  structuralSharing: (before: unknown, value: unknown) => unknown
  networkMode: NetworkMode
}

/** The same of an infinite query. */
export type InfiniteQueryExtras<Output, Data> = Partial<
  Omit<InfiniteQueryObserverOptions<Output, CrewlineError, Data, QueryKey, PageParam>, Decided | 'persister'>
> & {
  select?: (data: InfiniteData<Output, PageParam>) => Data
  live?: boolean
}

/** Plain options of TanStack Query's infinite queries. */
export type InfiniteQueryOptionsFor<Output, Data = InfiniteData<Output, PageParam>> = Omit<InfiniteQueryExtras<Output, Data>, 'live'> & {
  queryKey: DataTag<QueryKey, InfiniteData<Output, PageParam>, CrewlineError>
  queryFn: QueryFunction<Output, QueryKey, PageParam>
  queryKeyHashFn: (key: QueryKey) => string
  structuralSharing: (before: unknown, value: unknown) => unknown
  networkMode: NetworkMode
  initialPageParam: PageParam
  getNextPageParam: (last: Output, pages: Output[], param: PageParam) => PageParam | undefined
}

/** TanStack's own options, and `optimistic`. */
export type MutationExtras<Input, Output, Context> = Omit<
  MutationObserverOptions<Output, CrewlineError, Input, Context>,
  'mutationFn' | 'mutationKey' | 'networkMode'
> & {
  /**
   * What cached queries show until the server has answered. `false`: nothing. Absent: what `update` of any noun, `record.create` and `record.delete`
   * do; nothing for others.
   */
  optimistic?: false | ((cache: OptimisticCache<Output>, input: Input) => void)
}

/** Plain options of a TanStack mutation. */
export type MutationOptionsFor<Input, Output, Context = unknown> = Omit<MutationExtras<Input, Output, Context>, 'optimistic'> & {
  mutationKey: QueryKey
  mutationFn: (input: Input) => Promise<Output>
  networkMode: NetworkMode
}

type NounOf<Op extends string> = Op extends `${infer Noun}.${string}` ? Noun : never
type VerbOf<Op extends string, Noun extends string> = Op extends `${Noun}.${infer Verb}` ? Verb : never

interface Read<A extends AppShape, Op extends OpName> {
  /** Options for `useQuery`, `useSuspenseQuery`, `prefetchQuery`, `ensureQueryData`, … */
  queryOptions<C extends NameOf<A, Op> = NameOf<A, Op>, Data = OutputOf<A, Op, C>>(
    input: AskedOf<A, Op, C>,
    options?: QueryExtras<OutputOf<A, Op, C>, Data>,
  ): QueryOptionsFor<OutputOf<A, Op, C>, Data>
  /** The beginning of the keys of this operation's queries, or of those with this input: for `useIsFetching`, `removeQueries`, … */
  queryKey(input?: Partial<InputOf<A, Op>>): QueryKey
}

interface List<A extends AppShape, Op extends OpName> {
  /**
   * Options for `useInfiniteQuery` and its like. `limit` is a page's. The first 500 rows are followed, and pages beyond them are read when they are
   * asked for: their rows are brought up to date where another query or mutation knows newer ones, and rows pushed out of the first 500 join them;
   * what else comes into them or leaves them is seen when the query is refetched.
   */
  infiniteQueryOptions<C extends NameOf<A, Op> = NameOf<A, Op>, Data = InfiniteData<OutputOf<A, Op, C>, PageParam>>(
    input: AskedOf<A, Op, C>,
    options?: InfiniteQueryExtras<OutputOf<A, Op, C>, Data>,
  ): InfiniteQueryOptionsFor<OutputOf<A, Op, C>, Data>
}

interface Mutation<A extends AppShape, Op extends OpName> {
  /** Options for `useMutation`. */
  mutationOptions<Context = unknown>(
    options?: MutationExtras<InputOf<A, Op>, OutputOf<A, Op>, Context>,
  ): MutationOptionsFor<InputOf<A, Op>, OutputOf<A, Op>, Context>
  mutationKey(): QueryKey
}

type Offer<A extends AppShape, Op extends OpName> = Operations[Op]['kind'] extends 'read'
  ? Read<A, Op> & (Operations[Op]['output'] extends Page<infer _Row> ? List<A, Op> : unknown)
  : Mutation<A, Op>

/** `q.<noun>.<verb>`: every operation. */
export type Q<A extends AppShape> = {
  [Noun in NounOf<OpName>]: { [Verb in VerbOf<OpName, Noun>]: Offer<A, `${Noun}.${Verb}` & OpName> }
}

/** What stands between a client and a `QueryClient`. */
export interface QueryBridge<in out A extends AppShape> {
  q: Q<A>
  /** How many mutations still lie over what the server said: under way, or answered and not yet in every query. */
  layers(): number
  /** Lets go of everything: what is cached stays as it is. */
  close(): void
}

/** How a bridge is made: all of it may be left out. */
export interface BridgeOptions {
  /** What the keys of the bridge's queries begin with; `crewline` where it is absent. Two clients with one `QueryClient` need two. */
  prefix?: string
  /** Rows of an infinite query that are followed, at most; 500 where it is absent, which is the most that the server follows. */
  rows?: number
}

export type { Asked, OptimisticCache, PageParam }
