//! The key that signs tokens: one file in the data folder, readable by its owner alone.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hkdf, hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use secrecy::{ExposeSecret, SecretSlice};

/// The file's name in the data folder. Nodes that serve the same database share tokens when each has a copy of this file; a lost
/// file signs everyone out.
pub const FILE: &str = "signing.key";

/// An Ed25519 key in PKCS#8 form, and what is derived from it.
pub struct SigningKey {
    pkcs8: SecretSlice<u8>,
    public: Vec<u8>,
}

impl SigningKey {
    /// Reads the key from the data folder. On a first start it is made there, whole or not at all, with mode 0600.
    ///
    /// # Errors
    /// Where the file can't be read or written, or holds no such key.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(data, &path)?,
            read => read.map_err(|error| io::Error::new(error.kind(), format!("{} can't be read: {error}", path.display())))?,
        };
        // A copy made by hand may be readable by others.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Self::from_pkcs8(bytes).ok_or_else(|| {
            let message = format!("{} holds no Ed25519 key in PKCS#8 form: restore it, or remove it to sign everyone out", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// The key that this seed gives: simulations need the same one each time.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        // RFC 8410, section 7: version 0, the algorithm 1.3.101.112, and the seed as an octet string in an octet string.
        const HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let public = Ed25519KeyPair::from_seed_unchecked(&seed).map(|pair| pair.public_key().as_ref().to_vec());
        // ring refuses a seed only for its length.
        Self { pkcs8: SecretSlice::from([&HEAD[..], &seed].concat()), public: public.unwrap_or_default() }
    }

    fn from_pkcs8(bytes: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).ok()?;
        Some(Self { pkcs8: bytes.into(), public: pair.public_key().as_ref().to_vec() })
    }

    /// The private key in PKCS#8 form.
    pub(super) fn pkcs8(&self) -> &[u8] {
        self.pkcs8.expose_secret()
    }

    /// The public key's 32 bytes.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Another key for another purpose, from which this one can't be found.
    pub(super) fn derive(&self, purpose: &str) -> hmac::Key {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"crewline").extract(self.pkcs8());
        let info = [purpose.as_bytes()];
        match extracted.expand(&info, hmac::HMAC_SHA256) {
            Ok(derived) => hmac::Key::from(derived),
            // ring refuses only more than 255 times the hash's length, and this is once.
            Err(ring::error::Unspecified) => unreachable!("the derived key is 32 bytes"),
        }
    }
}

/// Writes a new key beside its place and links it there: another process that starts at the same moment wins or loses whole.
fn make(data: &Path, path: &Path) -> io::Result<Vec<u8>> {
    std::fs::create_dir_all(data)?;
    let random = SystemRandom::new();
    let no_randomness = |_| io::Error::other("the system gives no random bytes for a signing key");
    let key = Ed25519KeyPair::generate_pkcs8(&random).map_err(no_randomness)?;
    let nonce: [u8; 9] = ring::rand::generate(&random).map_err(no_randomness)?.expose();
    let draft = data.join(format!("{FILE}.{}", URL_SAFE_NO_PAD.encode(nonce)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(key.as_ref())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => File::open(data)?.sync_all()?,
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("new");
        let made = SigningKey::open(&folder).unwrap();
        let file = folder.join(FILE);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let read = SigningKey::open(&folder).unwrap();
        assert_eq!((read.pkcs8(), read.public()), (made.pkcs8(), made.public()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn nodes_that_start_at_once_on_one_folder_get_one_key() {
        let data = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| SigningKey::open(data.path()).map(|key| key.public().to_vec()))).collect();
            starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(FILE);
        std::fs::write(&file, "no key").unwrap();
        let error = SigningKey::open(data.path()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"no key");
    }

    #[test]
    fn a_seed_gives_the_key_of_rfc_8032() {
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let key = SigningKey::from_seed(seed.clone().try_into().unwrap());
        assert_eq!(key.public(), public);
        assert_eq!(SigningKey::from_pkcs8(key.pkcs8().to_vec()).unwrap().public(), public);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }
}
