//! The keys that tokens are verified with. They are read from files, and read again when a file changes.
//!
//! The operator names the algorithm of each key. The algorithm in a token's header only selects a key and is never
//! trusted: a server that trusts it can be made to use a public key as an HMAC secret, or `none` (RFC 8725 3.1).

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm},
};

use super::grant::{Claims, Grant};

/// Seconds by which the clock of a token's issuer may differ from the server's.
const LEEWAY_S: u64 = 5;
/// Minimum length of an HS256 secret, in bytes; shorter ones can be guessed (RFC 7518 3.2).
const LEAST_SECRET: usize = 32;
/// Maximum length of a token, in bytes. Tokens travel in headers, whose length is limited anyway.
const MAX_TOKEN: usize = 8 * 1024;

/// A file of keys and its kind: `HS256:FILE`, `RS256:FILE.pem`, `ES256:FILE.pem`, `EdDSA:FILE.pem`, or
/// `jwks:FILE.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    kind: Kind,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One(Algorithm),
    Set,
}

/// The reason why a token is refused. The holder gets no more detail than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token can't be parsed, or its signature or claims are wrong.
    #[error("the token is not valid")]
    Invalid,
    /// The token was valid until its `exp`.
    #[error("the token has expired")]
    Expired,
    /// The token will be valid from its `nbf` on.
    #[error("the token is not valid yet")]
    Early,
}

/// The keys as last read. Owned by the server's one [`super::Gate`]; requests on all workers verify with them while the
/// sweeper replaces them ([`Keys::refresh`]). A read-write lock, because every verification reads and only a changed
/// file writes. Verifications hold the lock only to copy an `Arc`.
#[derive(Debug)]
pub struct Keys {
    sources: Vec<KeySource>,
    current: RwLock<Current>,
}

#[derive(Debug, Default)]
struct Current {
    keys: Arc<Vec<Key>>,
    seen: Vec<Option<(SystemTime, u64)>>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key itself is left out, because it may be a secret.
        write!(f, "{:?} {:?}", self.algorithm, self.id)
    }
}

impl Keys {
    /// Reads all key files.
    ///
    /// # Errors
    /// If a file can't be read or holds no key.
    pub fn read(sources: Vec<KeySource>) -> io::Result<Self> {
        let current = RwLock::new(read_all(&sources)?);
        Ok(Self { sources, current })
    }

    /// Reads the files again if the time or length of one has changed. If that fails, the old keys stay, and the error
    /// is logged.
    pub fn refresh(&self) {
        let is_same = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            self.sources.iter().map(|source| stamp(&source.path)).eq(current.seen.iter().copied())
        };
        if is_same {
            return;
        }
        match read_all(&self.sources) {
            Ok(fresh) => {
                tracing::info!(keys = fresh.keys.len(), "token keys were read again");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
            }
            Err(error) => tracing::error!(%error, "token keys can't be read again; the old ones stay in use"),
        }
    }

    /// Verifies a token, and returns its grant.
    ///
    /// # Errors
    /// If no key verifies the token, or the token has expired or is not valid yet.
    pub fn verify(&self, token: &str) -> Result<Grant, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let keys = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).keys);
        let fitting = keys.iter().filter(|key| {
            key.algorithm == header.alg
                && key.id.as_ref().zip(header.kid.as_ref()).is_none_or(|(own, asked)| own == asked)
        });
        let mut why = TokenError::Invalid;
        for key in fitting {
            let mut validation = Validation::new(key.algorithm);
            validation.leeway = LEEWAY_S;
            validation.validate_nbf = true;
            // A token's audience is not checked: its rights say what it is for.
            validation.validate_aud = false;
            validation.set_required_spec_claims(&["exp"]);
            match decode::<Claims>(token, &key.key, &validation) {
                Ok(verified) => return Ok(Grant::of(verified.claims)),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::ExpiredSignature => why = TokenError::Expired,
                    jsonwebtoken::errors::ErrorKind::ImmatureSignature => why = TokenError::Early,
                    _ => {}
                },
            }
        }
        Err(why)
    }
}

fn read_all(sources: &[KeySource]) -> io::Result<Current> {
    // The stamps are taken before the files are read, so that a change in between is seen the next time.
    let seen = sources.iter().map(|source| stamp(&source.path)).collect();
    let mut keys = Vec::new();
    for source in sources {
        let of_file = |error: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", source.path.display()))
        };
        let bytes = fs::read(&source.path).map_err(|error| of_file(error.to_string()))?;
        source.keys(&bytes, &mut keys).map_err(of_file)?;
    }
    Ok(Current { keys: Arc::new(keys), seen })
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl KeySource {
    fn keys(&self, bytes: &[u8], out: &mut Vec<Key>) -> Result<(), String> {
        let Kind::One(algorithm) = self.kind else {
            let set: JwkSet =
                serde_json::from_slice(bytes).map_err(|error| format!("not a JWKS: {error}"))?;
            for jwk in &set.keys {
                let id = jwk.common.key_id.clone();
                let named = jwk
                    .common
                    .key_algorithm
                    .ok_or_else(|| format!("key {id:?} has no alg, and that of a token is not trusted"))?;
                let Some(algorithm) = algorithm_of(named) else {
                    return Err(format!("key {id:?} is for {named}; allowed are HS256, RS256, ES256, EdDSA"));
                };
                fits(jwk, algorithm).map_err(|error| format!("key {id:?} {error}"))?;
                let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {id:?}: {error}"))?;
                out.push(Key { id, algorithm, key });
            }
            return if set.keys.is_empty() { Err("the JWKS holds no key".to_owned()) } else { Ok(()) };
        };
        let key = match algorithm {
            Algorithm::HS256 => {
                let secret = bytes.trim_ascii_end();
                if secret.len() < LEAST_SECRET {
                    return Err(format!(
                        "the secret has {} bytes; at least {LEAST_SECRET} are needed (head -c 48 /dev/urandom | base64)",
                        secret.len()
                    ));
                }
                // An operator who mixes up the two files would hand out the secret as a public key, or the reverse.
                if secret.starts_with(b"-----BEGIN") {
                    return Err("this is a PEM file, not an HS256 secret".to_owned());
                }
                Ok(DecodingKey::from_secret(secret))
            }
            Algorithm::RS256 => DecodingKey::from_rsa_pem(bytes),
            Algorithm::ES256 => DecodingKey::from_ec_pem(bytes),
            _ => DecodingKey::from_ed_pem(bytes),
        };
        out.push(Key { id: None, algorithm, key: key.map_err(|error| error.to_string())? });
        Ok(())
    }
}

/// Checks that a key of a set has the type that its algorithm needs, and that a secret is as long as one from a file
/// must be (RFC 7518 3.2).
fn fits(jwk: &Jwk, algorithm: Algorithm) -> Result<(), String> {
    if let AlgorithmParameters::OctetKey(octets) = &jwk.algorithm {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(octets.value.trim_end_matches('='));
        let length = secret.map_err(|error| format!("is not base64url: {error}"))?.len();
        if length < LEAST_SECRET {
            return Err(format!("has {length} bytes; at least {LEAST_SECRET} are needed"));
        }
    }
    let is_one = matches!(
        (&jwk.algorithm, algorithm),
        (AlgorithmParameters::OctetKey(_), Algorithm::HS256)
            | (AlgorithmParameters::RSA(_), Algorithm::RS256)
            | (AlgorithmParameters::EllipticCurve(_), Algorithm::ES256)
            | (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA)
    );
    if is_one { Ok(()) } else { Err(format!("is not of the type that {algorithm:?} needs")) }
}

fn algorithm_of(named: KeyAlgorithm) -> Option<Algorithm> {
    match named {
        KeyAlgorithm::HS256 => Some(Algorithm::HS256),
        KeyAlgorithm::RS256 => Some(Algorithm::RS256),
        KeyAlgorithm::ES256 => Some(Algorithm::ES256),
        KeyAlgorithm::EdDSA => Some(Algorithm::EdDSA),
        _ => None,
    }
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once(':').unwrap_or((text, ""));
        let kind = match kind {
            "HS256" => Kind::One(Algorithm::HS256),
            "RS256" => Kind::One(Algorithm::RS256),
            "ES256" => Kind::One(Algorithm::ES256),
            "EdDSA" => Kind::One(Algorithm::EdDSA),
            "jwks" => Kind::Set,
            _ => {
                return Err(format!(
                    "{text:?} is not a key such as EdDSA:public.pem; kinds are HS256, RS256, ES256, EdDSA and jwks"
                ));
            }
        };
        if path.is_empty() {
            return Err("a file is expected after the colon".to_owned());
        }
        Ok(Self { kind, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_set(jwk: &str) -> Result<(), String> {
        let source: KeySource = "jwks:x".parse().unwrap();
        source.keys(format!("{{\"keys\":[{jwk}]}}").as_bytes(), &mut Vec::new())
    }

    #[test]
    fn a_secret_of_a_set_is_as_long_as_one_of_a_file() {
        let secret = |bytes: usize| {
            let k = BASE64_URL_SAFE_NO_PAD.encode(vec![7; bytes]);
            of_set(&format!("{{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"{k}\"}}"))
        };
        assert_eq!(secret(32), Ok(()));
        for bytes in [0, 1, 31] {
            assert!(secret(bytes).unwrap_err().contains("at least 32 are needed"), "{bytes}");
        }
    }

    #[test]
    fn a_key_is_of_the_kind_that_its_algorithm_takes() {
        let k = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let key = format!("{{\"kty\":\"oct\",\"alg\":\"{algorithm}\",\"k\":\"{k}\"}}");
            assert!(of_set(&key).unwrap_err().contains("is not of the type"), "{algorithm}");
        }
    }
}
