/** Crewline as a server of other libraries: each adapter is a small contract met, and costs nothing where it is not used. */
export { agUiEvents, type AgUiOptions } from './ag-ui.js'
export { crewlineChatTransport, type ChatOptions, type CrewInputs } from './chat-transport.js'
export { crewlineCollectionOptions, type DbRow, type RecordCollection } from './tanstack-db.js'
export { crewlineConnection, type ConnectionOptions } from './tanstack-ai.js'
export { storedPlaces, type Place, type Places, type Role, type Unfinished } from './place.js'
