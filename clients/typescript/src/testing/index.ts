/** A scripted server for the tests of a front end: the same frames as the real one, no network. */
export type { Script, ScriptedAnswer, ScriptedStep } from './script.js'
export { createScriptedServer, type Received, type ScriptedServer } from './server.js'
