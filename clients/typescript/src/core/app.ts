/** What `crewline types` tells of an app, put into the operations' inputs and outputs. */
import type { Operations } from '../protocol.js'

/** What `crewline types --app` writes as `App`: the data of each collection's records, and the inputs of each crew's runs. */
export interface AppShape {
  collections: object
  crews: object
}

/** An app of which nothing is known: any collection, any crew. */
export interface AnyApp extends AppShape {
  collections: Record<string, Record<string, unknown>>
  crews: Record<string, Record<string, unknown>>
}

export type App = AppShape
export type OpName = keyof Operations
export type LiveOpName = { [Op in OpName]: Operations[Op]['live'] extends true ? Op : never }[OpName]
export type InputOf<_A extends AppShape, Op extends OpName> = Operations[Op]['input']
export type OutputOf<_A extends AppShape, Op extends OpName, _I = unknown> = Operations[Op]['output']
