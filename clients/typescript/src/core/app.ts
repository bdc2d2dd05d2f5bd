/** What `crewline types` tells of an app, put into the operations' inputs and outputs. */
import type { Group, Millis, Operations, Page, RecordRow, Revision, Run, RunStart, Scalar } from '../protocol.js'

/** What `crewline types --app` writes as `App`: the data of each collection's records, and the inputs of each crew's runs. */
export interface AppShape {
  collections: object
  crews: object
}

/** An app of which nothing is known: any collection, any crew, as the protocol has them. */
export interface AnyApp extends AppShape {
  collections: Record<string, Record<string, unknown>>
  crews: Record<string, Record<string, unknown>>
}

/** The name of an operation, such as `record.list`. */
export type OpName = keyof Operations
/** The name of an operation that can be followed. */
export type LiveOpName = { [Op in OpName]: Operations[Op]['live'] extends true ? Op : never }[OpName]

/** What an operation's input names of the app: a collection, or a crew. */
export type NameOf<A extends AppShape, Op extends OpName> = Op extends `record.${string}`
  ? keyof A['collections'] & string
  : Op extends 'run.start'
    ? keyof A['crews'] & string
    : never

/** The input of an operation; of one on records or crews that of collection or crew `C`. */
export type InputOf<A extends AppShape, Op extends OpName, C extends string = NameOf<A, Op>> = Op extends 'record.batch'
  ? Known<A['collections']> extends true
    ? { operations: WriteOf<A>[]; atomic?: boolean }
    : Operations[Op]['input']
  : Op extends RecordOp
    ? Known<A['collections']> extends true
      ? RecordInput<A, C>[Op]
      : Operations[Op]['input']
    : Op extends 'run.start'
      ? Known<A['crews']> extends true
        ? StartOf<A, C>
        : Operations[Op]['input']
      : Operations[Op]['input']

/** The same where `C` is to be found out from what is given. */
export type Asked<A extends AppShape, Op extends OpName, C extends string> = InputOf<A, Op, C> & { collection?: C; crew?: C }

/** The output of an operation; of one on records with the rows of collection `C`. */
export type OutputOf<A extends AppShape, Op extends OpName, C extends string = NameOf<A, Op>> = Op extends 'record.list'
  ? Page<Row<A, C>>
  : Op extends 'record.create' | 'record.get' | 'record.update'
    ? Row<A, C>
    : Op extends 'run.start'
      ? Run
      : Operations[Op]['output']

/** A record of collection `C`. */
export type Row<A extends AppShape, C extends string = keyof A['collections'] & string> =
  Known<A['collections']> extends true ? (C extends keyof A['collections'] ? RowOf<C, A['collections'][C]> : never) : RecordRow

/** A record of collection `C` whose data is `Data`. `revision` is the workspace's at its last change; times are milliseconds since the epoch. */
export interface RowOf<C, Data> {
  id: string
  revision: Revision
  created_at: Millis
  updated_at: Millis
  created_by: string
  collection: C
  data: Data
}

/** A filter over a record's own fields and those that every row has. */
export type FilterOf<Data> = { all: FilterOf<Data>[] } | { any: FilterOf<Data>[] } | { not: FilterOf<Data> } | TestOf<Fields<Data>>

type RecordOp = 'record.create' | 'record.get' | 'record.list' | 'record.aggregate' | 'record.update' | 'record.delete'

interface RowFields {
  id: string
  revision: number
  created_at: number
  updated_at: number
  created_by: string
}

type Fields<Data> = Data & RowFields
type Name<Data> = keyof Fields<Data> & string

/** One test of one field: values are of the field's type, and `contains` of a list's elements. */
type TestOf<Of> = {
  [Field in keyof Of & string]: { field: Field } & (
    | { eq: Value<Of[Field]> | null }
    | { ne: Value<Of[Field]> | null }
    | { lt: Value<Of[Field]> }
    | { lte: Value<Of[Field]> }
    | { gt: Value<Of[Field]> }
    | { gte: Value<Of[Field]> }
    | { in: Value<Of[Field]>[] }
    | { contains: NonNullable<Of[Field]> extends readonly (infer Element)[] ? Element : Value<Of[Field]> }
  )
}[keyof Of & string]
type Value<T> = NonNullable<T> extends Scalar ? NonNullable<T> : Scalar

/** Optional fields may be cleared. */
type Change<Data> = { [Field in keyof Data]?: undefined extends Data[Field] ? Data[Field] | null : Data[Field] }

type Named<T, Data> = T extends unknown
  ? { [Key in keyof T]: Key extends 'field' | 'ref' ? (string extends T[Key] ? Name<Data> : T[Key]) : T[Key] }
  : never
type MeasureOf<Data> = { name: string; where?: FilterOf<Data> } & (
  | { count: true | Name<Data> }
  | { [What in 'sum' | 'avg' | 'min' | 'max' | 'p50' | 'p95']: { [Key in What]: Name<Data> } }['sum' | 'avg' | 'min' | 'max' | 'p50' | 'p95']
)

interface RecordInputs<C, Data> {
  'record.create': { collection: C; data: Data; id?: string }
  'record.get': { collection: C; id: string }
  'record.list': {
    collection: C
    filter?: FilterOf<Data>
    sort?: { field: Name<Data>; descending?: boolean }[]
    limit?: number
    cursor?: string
    count?: boolean
  }
  'record.aggregate': { collection: C; groups?: Named<Group, Data>[]; measures: MeasureOf<Data>[]; filter?: FilterOf<Data> }
  'record.update': { collection: C; id: string; revision?: Revision; data: Change<Data> }
  'record.delete': { collection: C; id: string; revision?: Revision }
}
type RecordInput<A extends AppShape, C extends string> = C extends keyof A['collections'] ? RecordInputs<C, A['collections'][C]> : never
type WriteOf<A extends AppShape, C = keyof A['collections']> = C extends keyof A['collections']
  ?
      | { create: RecordInputs<C, A['collections'][C]>['record.create'] }
      | { update: RecordInputs<C, A['collections'][C]>['record.update'] }
      | { delete: RecordInputs<C, A['collections'][C]>['record.delete'] }
  : never
type StartOf<A extends AppShape, C extends string> = C extends keyof A['crews']
  ? Omit<RunStart, 'crew' | 'inputs'> & { crew: C } & (object extends A['crews'][C] ? { inputs?: A['crews'][C] } : { inputs: A['crews'][C] })
  : never

/** Whether the app's own names are known, rather than any text. */
type Known<T> = string extends keyof T ? false : true
