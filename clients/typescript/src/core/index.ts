export * from './types.js'
export * from './transport.js'
export { CrewlineError, type ErrorCode } from './error.js'
export type { Fault, Operations, Page, Principal, Run, RunEvent, RecordRow, Session, Message } from '../protocol.js'
