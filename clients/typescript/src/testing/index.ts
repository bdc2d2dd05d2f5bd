/** A scripted server for the tests of a front end: the same frames as the real one, no network. */
export type { Script, ScriptedAnswer, ScriptedMember, ScriptedStep } from './script.js'
export { record, type Recording } from './record.js'
export { createScriptedServer, type Received, type ScriptedServer } from './server.js'
