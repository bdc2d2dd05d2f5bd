/** The bridge to TanStack Query. */
export { createQueryBridge, flattenPages, onCurrent } from './bridge.js'
export type {
  Asked,
  BridgeOptions,
  InfiniteQueryOptionsFor,
  MutationExtras,
  MutationOptionsFor,
  OptimisticCache,
  PageParam,
  Q,
  QueryBridge,
  QueryExtras,
  QueryOptionsFor,
} from './types.js'
