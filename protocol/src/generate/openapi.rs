//! What is served over plain HTTP, as an OpenAPI document.

use crewline_protocol::{
    SUBPROTOCOL,
    http::{Health, TokenError, TokenRequest, TokenResponse},
};
use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::document::render;

pub(crate) fn text() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let health = generator.subschema_for::<Health>();
    let request = generator.subschema_for::<TokenRequest>();
    let response = generator.subschema_for::<TokenResponse>();
    let error = generator.subschema_for::<TokenError>();
    render(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Crewline over HTTP",
            "version": "1.0.0",
            "description": "What a server says besides the socket: how it is, and tokens. Everything else is said over `/ws`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/health": {"get": health_of("health", "How the server is.", "It is draining, or its database does not answer.", &health)},
            "/health/live": {"get": alive(&health)},
            "/health/ready": {"get": health_of("healthReady", "Whether to send it connections.", "It takes none now.", &health)},
            "/token": {"post": token(&request, &response, &error)},
            "/ws": {"get": upgrade()},
        },
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "basic", "description": "An API key's id and secret, for `client_credentials`."},
            },
        },
    }))
}

fn json_body(description: &str, schema: &Schema) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn health_of(id: &str, summary: &str, when_not: &str, health: &Schema) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "security": [],
        "responses": {"200": json_body("It takes requests.", health), "503": json_body(when_not, health)},
    })
}

fn alive(health: &Schema) -> Value {
    json!({
        "operationId": "healthLive",
        "summary": "Whether the process answers at all, whatever its database does.",
        "security": [],
        "responses": {"200": json_body("It does.", health)},
    })
}

fn token(request: &Schema, response: &Schema, error: &Schema) -> Value {
    let no_store = json!({"Cache-Control": {"schema": {"const": "no-store"}}});
    let with_headers = |description: &str, schema: &Schema, more: Value| {
        let mut answer = json_body(description, schema);
        let mut headers = no_store.clone();
        if let (Value::Object(headers), Value::Object(more)) = (&mut headers, more) {
            headers.extend(more);
        }
        answer["headers"] = headers;
        answer
    };
    let retry_after = json!({"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}});
    json!({
        "operationId": "token",
        "summary": "Gives an access token.",
        "description": "An OAuth 2.0 token endpoint (RFC 6749). Parameters come as a form and never in the URL; each stands once. \
                        An unknown address and a wrong password are answered alike, in the same time.",
        "security": [{}, {"apiKey": []}],
        "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": request}}},
        "responses": {
            "200": with_headers("Tokens. A browser's refresh token may come as an HttpOnly cookie instead.", response, json!({})),
            "400": with_headers("The request, the grant, or who asks for it is wrong.", error, json!({})),
            "401": with_headers(
                "The API key is not known or its secret is wrong.",
                error,
                json!({"WWW-Authenticate": {"schema": {"type": "string"}}}),
            ),
            "429": with_headers("Too many tries.", error, retry_after.clone()),
            "503": with_headers("The server is draining, or its database does not answer.", error, retry_after),
        },
    })
}

fn upgrade() -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "header", "required": true, "description": description, "schema": schema});
    json!({
        "operationId": "socket",
        "summary": "The upgrade to the socket, which the AsyncAPI document describes.",
        "security": [],
        "parameters": [
            header("Upgrade", "The protocol to change to.", json!({"const": "websocket"})),
            header("Sec-WebSocket-Protocol", "The subprotocols that the client offers.", json!({"type": "string", "examples": [SUBPROTOCOL]})),
        ],
        "responses": {
            "101": {"description": format!("The connection is a WebSocket now, with the subprotocol `{SUBPROTOCOL}`.")},
            "400": {"description": format!("`{SUBPROTOCOL}` is not among the subprotocols offered.")},
            "403": {"description": "The page's origin is not on the server's list."},
            "426": {"description": "The request is no upgrade to a WebSocket."},
            "503": {"description": "Too many connections, or the server is draining."},
        },
    })
}
