import type { Ended, Fault, FaultCode, Retry } from '../protocol.js'

/** What `CrewlineError.code` may be: a fault of the server, or one that the client finds by itself. */
export type ErrorCode =
  | FaultCode
  /** No server answers at this address, it refuses this page's origin, or its version is another: a browser does not tell which. */
  | 'unreachable'
  /** The call's signal was aborted. */
  | 'aborted'
  /** The server sent what this client can't read. */
  | 'malformed'

/** The only error that this package throws. `message` says what happened, to what, and what to do. */
export class CrewlineError extends Error {
  override readonly name = 'CrewlineError'
  constructor(
    readonly code: ErrorCode,
    message: string,
    /** As the server said it; absent for what the client found. */
    readonly fault?: Fault,
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }

  static of(fault: Fault): CrewlineError {
    return new CrewlineError(fault.code, fault.message, fault)
  }

  /** What may help: see PROTOCOL's faults. */
  get retry(): Retry {
    // What the client finds by itself passes with the connection, or not at all.
    return this.fault?.retry ?? (this.code === 'unauthenticated' ? 'sign_in' : /^(disconnected|unreachable|unavailable|internal|malformed)$/.test(this.code) ? 'reconnect' : 'never')
  }
}

/** What was given can't be put into a frame, such as a function, a BigInt or what holds itself. */
export function unsendable(what: string | undefined, cause: unknown): CrewlineError {
  return new CrewlineError('invalid', `${what} can’t be sent: ${(cause as Error).message}`, undefined, { cause })
}

/** Why `what` is not followed any more. */
export function endedBy(what: string, { why, fault }: Ended): CrewlineError {
  const deleted = why === 'deleted'
  return fault ? CrewlineError.of(fault) : new CrewlineError(deleted ? 'not_found' : 'forbidden', what + (deleted ? ' was deleted' : ' may not be followed any more: a right was taken away'))
}
