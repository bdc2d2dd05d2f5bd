//! Tokens: access tokens that prove who one is for some minutes (JWT, RFC 7519, signed with EdDSA), and refresh tokens that get
//! the next ones. Both prove only who: role and membership are read from the database each time.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crewline_protocol::value::{ApiKeyId, InvitationId, Millis, SignInId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use super::{key::SigningKey, ring as provider};

/// Who made a token, and for whom: Crewline's servers, for themselves.
const ISSUER: &str = "crewline";
/// RFC 9068, section 2.1: a token of another kind is not taken for an access token.
const TYPE: &str = "at+jwt";
/// What a refresh token begins with, so that people and scanners know one when they see it.
const REFRESH: &str = "crr_";

/// What an invitation's token begins with.
const INVITATION: &str = "cri_";

/// What an API key's secret begins with.
const KEY: &str = "crk_";

/// Makes and reads tokens.
pub(super) struct Tokens {
    signs: EncodingKey,
    verifies: DecodingKey,
    header: Header,
    validation: Validation,
    refresh: hmac::Key,
    invitation: hmac::Key,
    keys: hmac::Key,
    /// How far other nodes' clocks may be ahead, in milliseconds.
    skew_ms: i64,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccessToken {
    pub(super) user: UserId,
    pub(super) sign_in: SignInId,
    pub(super) expires_at: Millis,
}

/// What a refresh token says: the `number`th of its sign-in, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) sign_in: SignInId,
    pub(super) number: i64,
}

/// Times are whole seconds since the Unix epoch. No field may be absent or of another type.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SignInId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Tokens {
    pub(super) fn new(key: &SigningKey, skew_ms: i64) -> Self {
        provider::install();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        let fingerprint = digest::digest(&digest::SHA256, key.public());
        header.kid = fingerprint.as_ref().get(..12).map(|start| URL_SAFE_NO_PAD.encode(start));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "sub", "iss", "aud"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        // It would read the machine's calendar; ours is handed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            signs: EncodingKey::from_ed_der(key.pkcs8()),
            verifies: DecodingKey::from_ed_der(key.public()),
            header,
            validation,
            refresh: key.derive("refresh tokens"),
            invitation: key.derive("invitations"),
            keys: key.derive("API keys"),
            skew_ms,
        }
    }

    /// An access token, and when it ends: at the first whole second that is not before `expires_at`.
    ///
    /// # Errors
    /// None that can be provoked: the key was read when the server started.
    pub(super) fn access(
        &self,
        user: UserId,
        sign_in: SignInId,
        now: Millis,
        expires_at: Millis,
    ) -> Result<(String, Millis), jsonwebtoken::errors::Error> {
        let (made, ends) = (now.0.div_euclid(1000), expires_at.0.saturating_add(999).div_euclid(1000));
        let claims = Claims { iss: ISSUER.into(), aud: ISSUER.into(), sub: user, sid: sign_in, iat: made, nbf: made, exp: ends };
        Ok((jsonwebtoken::encode(&self.header, &claims, &self.signs)?, Millis(ends.saturating_mul(1000))))
    }

    /// Reads an access token; `None` for whatever is none of ours, or not good now.
    pub(super) fn read_access(&self, token: &str, now: Millis) -> Option<AccessToken> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.verifies, &self.validation).ok()?;
        // Whole and exact: no header names a key of its own (`jku`, `jwk`), another type or another key.
        if read.header != self.header {
            return None;
        }
        let claims = read.claims;
        let begun = claims.nbf.saturating_mul(1000) <= now.0.saturating_add(self.skew_ms);
        let expires_at = Millis(claims.exp.saturating_mul(1000));
        (begun && expires_at > now).then_some(AccessToken { user: claims.sub, sign_in: claims.sid, expires_at })
    }

    /// A refresh token. The same number gives the same token, so that none is stored.
    pub(super) fn refresh(&self, token: RefreshToken) -> String {
        let mut bytes = [token.sign_in.as_bytes(), &token.number.to_be_bytes()[..]].concat();
        let tag = hmac::sign(&self.refresh, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        format!("{REFRESH}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a refresh token; `None` for whatever is none of ours.
    pub(super) fn read_refresh(&self, token: &str) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(REFRESH)?).ok()?;
        let (content, tag) = bytes.split_at_checked(24)?;
        hmac::verify(&self.refresh, content, tag).ok()?;
        let (id, number) = content.split_first_chunk::<16>()?;
        let sign_in = uuid::Uuid::from_bytes(*id).to_string().parse().ok()?;
        Some(RefreshToken { sign_in, number: i64::from_be_bytes(number.try_into().ok()?) })
    }

    /// An invitation's token: the same each time, so that it is not stored.
    pub(super) fn invitation(&self, id: InvitationId) -> String {
        tagged(&self.invitation, INVITATION, id.as_bytes())
    }

    /// Reads an invitation's token; `None` for whatever is none of ours.
    pub(super) fn read_invitation(&self, token: &str) -> Option<InvitationId> {
        read_tagged(&self.invitation, INVITATION, token)
    }

    /// An API key's secret: the same each time, so that it is not stored.
    pub(super) fn key_secret(&self, id: ApiKeyId) -> String {
        tagged(&self.keys, KEY, id.as_bytes())
    }

    /// Reads an API key's secret; `None` for whatever is none of ours.
    pub(super) fn read_key_secret(&self, secret: &str) -> Option<ApiKeyId> {
        read_tagged(&self.keys, KEY, secret)
    }
}

/// An id and its MAC.
fn tagged(key: &hmac::Key, prefix: &str, id: &[u8; 16]) -> String {
    let tag = hmac::sign(key, id);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode([id, tag.as_ref()].concat()))
}

fn read_tagged<I: std::str::FromStr>(key: &hmac::Key, prefix: &str, token: &str) -> Option<I> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(prefix)?).ok()?;
    let (id, tag) = bytes.split_first_chunk::<16>()?;
    hmac::verify(key, id, tag).ok()?;
    uuid::Uuid::from_bytes(*id).to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_500);

    fn tokens() -> Tokens {
        Tokens::new(&SigningKey::from_seed([1; 32]), 5_000)
    }

    fn who() -> (UserId, SignInId) {
        (UserId::new(NOW, [1; 10]), SignInId::new(NOW, [2; 10]))
    }

    /// A token with this header and these claims, signed by `seed`'s key whatever they say.
    fn forged(header: &Value, claims: &str, seed: u8) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(&header.to_string()), part(claims));
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
    }

    fn header() -> Value {
        serde_json::to_value(&tokens().header).unwrap()
    }

    fn claims() -> Value {
        let (user, sign_in) = who();
        json!({"iss": "crewline", "aud": "crewline", "sub": user, "sid": sign_in, "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_900})
    }

    fn with(mut value: Value, key: &str, to: Value) -> Value {
        value[key] = to;
        value
    }

    fn without(mut value: Value, key: &str) -> Value {
        value.as_object_mut().unwrap().remove(key).unwrap();
        value
    }

    #[test]
    fn an_access_token_is_good_from_its_making_until_its_end() {
        let (user, sign_in) = who();
        let (token, expires_at) = tokens().access(user, sign_in, NOW, NOW.plus(900_000)).unwrap();
        assert_eq!(expires_at, Millis(1_700_000_901_000));
        let read = Some(AccessToken { user, sign_in, expires_at });
        assert_eq!(tokens().read_access(&token, NOW), read);
        assert_eq!(tokens().read_access(&token, expires_at.plus(-1)), read);
        assert_eq!(tokens().read_access(&token, expires_at), None);
        assert_eq!(tokens().read_access(&token, Millis(1_699_999_995_000)), read, "another node's clock may be ahead by the skew");
        assert_eq!(tokens().read_access(&token, Millis(1_699_999_994_999)), None);
        assert_eq!(Tokens::new(&SigningKey::from_seed([2; 32]), 5_000).read_access(&token, NOW), None);
    }

    #[test]
    fn every_claim_must_be_there_with_its_type_and_value() {
        let good = forged(&header(), &claims().to_string(), 1);
        assert!(tokens().read_access(&good, NOW).is_some());
        let wrong = [
            ("iss", vec![json!("other"), json!(["crewline"]), json!(null), json!(1)]),
            ("aud", vec![json!("other"), json!(["crewline"]), json!([]), json!(null)]),
            ("sub", vec![json!("1"), json!(1), json!(null), json!([])]),
            ("sid", vec![json!("x"), json!(7), json!(null)]),
            ("iat", vec![json!("1700000000"), json!(1.5), json!(null)]),
            ("nbf", vec![json!("1700000000"), json!(1_700_000_000.5), json!(null), json!(1_700_000_006)]),
            ("exp", vec![json!("1700000900"), json!(1_700_000_900.5), json!(null), json!(-1), json!(1e300), json!([1_700_000_900])]),
        ];
        for (claim, values) in wrong {
            let token = forged(&header(), &without(claims(), claim).to_string(), 1);
            assert_eq!(tokens().read_access(&token, NOW), None, "without {claim}");
            for value in values {
                let token = forged(&header(), &with(claims(), claim, value.clone()).to_string(), 1);
                assert_eq!(tokens().read_access(&token, NOW), None, "{claim}: {value}");
            }
        }
        let doubled = claims().to_string().replacen('{', r#"{"exp":1700000901,"#, 1);
        assert_eq!(tokens().read_access(&forged(&header(), &doubled, 1), NOW), None, "exp twice");
    }

    #[test]
    fn a_header_that_is_not_exactly_ours_is_refused_even_when_signed() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(SigningKey::from_seed([9; 32]).public())});
        let headers = [
            with(header(), "alg", json!("none")),
            with(header(), "alg", json!("HS256")),
            with(header(), "alg", json!("ES256")),
            with(header(), "alg", json!(null)),
            with(header(), "typ", json!("JWT")),
            with(header(), "typ", json!("AT+JWT")),
            without(header(), "typ"),
            with(header(), "kid", json!("../../dev/null")),
            without(header(), "kid"),
            with(header(), "jku", json!("https://attacker.example/keys")),
            with(header(), "jwk", jwk.clone()),
            with(header(), "x5u", json!("https://attacker.example/key")),
            with(header(), "crit", json!(["exp"])),
            with(header(), "b64", json!(false)),
        ];
        for header in headers {
            assert_eq!(tokens().read_access(&forged(&header, &claims().to_string(), 1), NOW), None, "{header}");
        }
        for header in [header(), with(header(), "jwk", jwk)] {
            assert_eq!(tokens().read_access(&forged(&header, &claims().to_string(), 9), NOW), None, "another key: {header}");
        }
    }

    #[test]
    fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&with(header(), "alg", json!("HS256"))), part(&claims()));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, SigningKey::from_seed([1; 32]).public());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes())));
        assert_eq!(tokens().read_access(&token, NOW), None);
    }

    #[test]
    fn only_the_canonical_text_of_a_token_is_taken() {
        let (user, sign_in) = who();
        let (token, _) = tokens().access(user, sign_in, NOW, NOW.plus(900_000)).unwrap();
        let mut other_last_bits = token.clone();
        // 64 bytes leave 4 bits of the last character unused: they must be zero.
        let last = other_last_bits.pop().unwrap();
        other_last_bits.push(char::from(last as u8 + 1));
        let (start, _) = token.rsplit_once('.').unwrap();
        let texts = [
            format!("{token}="),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{token}."),
            format!("{token}.{token}"),
            other_last_bits,
            format!("{start}."),
            start.to_owned(),
            token.replace('.', ".."),
            token.replace(['-', '_'], "+") + "+",
            String::new(),
            "..".into(),
        ];
        for text in texts {
            assert_eq!(tokens().read_access(&text, NOW), None, "{text}");
        }
    }

    #[test]
    fn a_refresh_token_says_which_it_is_and_no_bit_of_it_can_change() {
        let said = RefreshToken { sign_in: who().1, number: 7 };
        let token = tokens().refresh(said);
        assert_eq!(tokens().read_refresh(&token), Some(said));
        assert_eq!(tokens().refresh(said), token);
        assert_ne!(tokens().refresh(RefreshToken { number: 8, ..said }), token);
        assert_eq!(Tokens::new(&SigningKey::from_seed([2; 32]), 0).read_refresh(&token), None);
        let bytes = URL_SAFE_NO_PAD.decode(&token[REFRESH.len()..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tokens().read_refresh(&format!("{REFRESH}{}", URL_SAFE_NO_PAD.encode(changed))), None, "bit {bit}");
        }
        for text in ["", REFRESH, "crr_AAAA", &token[1..], &token[..token.len() - 1], &format!("{token}=")] {
            assert_eq!(tokens().read_refresh(text), None, "{text}");
        }
    }

    #[test]
    fn an_invitations_token_names_it_and_no_bit_of_it_can_change() {
        let id = InvitationId::new(NOW, [3; 10]);
        let token = tokens().invitation(id);
        assert_eq!((tokens().read_invitation(&token), tokens().invitation(id)), (Some(id), token.clone()));
        assert_eq!(Tokens::new(&SigningKey::from_seed([2; 32]), 0).read_invitation(&token), None);
        let bytes = URL_SAFE_NO_PAD.decode(&token[INVITATION.len()..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tokens().read_invitation(&format!("{INVITATION}{}", URL_SAFE_NO_PAD.encode(changed))), None, "bit {bit}");
        }
        let refresh = tokens().refresh(RefreshToken { sign_in: who().1, number: 1 });
        for text in ["", INVITATION, "cri_AAAA", &token[1..], &token[..token.len() - 1], &refresh.replace(REFRESH, INVITATION)] {
            assert_eq!(tokens().read_invitation(text), None, "{text}");
        }
    }

    #[test]
    fn neither_token_is_taken_for_the_other() {
        let (user, sign_in) = who();
        let (access, _) = tokens().access(user, sign_in, NOW, NOW.plus(900_000)).unwrap();
        let refresh = tokens().refresh(RefreshToken { sign_in, number: 1 });
        assert_eq!(tokens().read_access(&refresh, NOW), None);
        assert_eq!(tokens().read_access(refresh.trim_start_matches(REFRESH), NOW), None);
        assert_eq!(tokens().read_refresh(&access), None);
    }
}
