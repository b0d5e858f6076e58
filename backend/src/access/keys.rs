//! The keys that tokens are verified with, from files, read again when they change.
//!
//! The algorithm is the key's, told by the operator: what a token's header says is compared with it and never believed.
//! (A server that believes it can be given a public key as an HMAC secret, or `none`; RFC 8725 3.1.)

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

/// Clocks of issuers may be off by so many seconds.
const LEEWAY_S: u64 = 5;
/// Shorter secrets can be guessed (RFC 7518 3.2).
const LEAST_SECRET: usize = 32;
/// A token is in headers, which have limits of their own; nobody needs longer ones.
const MAX_TOKEN: usize = 8 * 1024;

/// Where keys come from: `HS256:FILE`, `RS256:FILE.pem`, `ES256:FILE.pem`, `EdDSA:FILE.pem`, or `jwks:FILE.json`.
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

/// Why a token is not believed. The holder is told no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It can't be read, its signature is wrong, or its claims are.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid.
    #[error("the token has expired")]
    Expired,
    /// It will be.
    #[error("the token is not valid yet")]
    Early,
}

/// The keys as they are now. Shared; whoever holds them has them read again ([`Keys::refresh`]).
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
        // Never the key itself: it may be a secret.
        write!(f, "{:?} {:?}", self.algorithm, self.id)
    }
}

impl Keys {
    /// Reads all files.
    ///
    /// # Errors
    /// If one can't be read or holds no key.
    pub fn read(sources: Vec<KeySource>) -> io::Result<Self> {
        let current = RwLock::new(read_all(&sources)?);
        Ok(Self { sources, current })
    }

    /// Reads the files again if one has changed. What can't be read changes nothing, and is logged.
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
            Err(error) => tracing::error!(%error, "token keys can't be read again; the old ones stay"),
        }
    }

    /// What a token grants.
    ///
    /// # Errors
    /// If none of the keys verifies it, or it is not its time.
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
            // Who a token is for is said by what it grants.
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
    // Stamped before they are read: a change in between is seen next time.
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
            let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("no JWKS: {error}"))?;
            for jwk in &set.keys {
                let id = jwk.common.key_id.clone();
                let named = jwk
                    .common
                    .key_algorithm
                    .ok_or_else(|| format!("key {id:?} names no alg, and a token's own is not believed"))?;
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
                        "the secret has {} bytes; {LEAST_SECRET} are the least (head -c 48 /dev/urandom | base64)",
                        secret.len()
                    ));
                }
                // Someone who mixes up the two files would hand out the secret as a public key, or the reverse.
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

/// Whether a key of a set is one for its algorithm, and as long as one of a file must be (RFC 7518 3.2).
fn fits(jwk: &Jwk, algorithm: Algorithm) -> Result<(), String> {
    if let AlgorithmParameters::OctetKey(octets) = &jwk.algorithm {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(octets.value.trim_end_matches('='));
        let length = secret.map_err(|error| format!("is no base64url: {error}"))?.len();
        if length < LEAST_SECRET {
            return Err(format!("has {length} bytes; {LEAST_SECRET} are the least"));
        }
    }
    let is_one = matches!(
        (&jwk.algorithm, algorithm),
        (AlgorithmParameters::OctetKey(_), Algorithm::HS256)
            | (AlgorithmParameters::RSA(_), Algorithm::RS256)
            | (AlgorithmParameters::EllipticCurve(_), Algorithm::ES256)
            | (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA)
    );
    if is_one { Ok(()) } else { Err(format!("is of another kind than {algorithm:?} takes")) }
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
                    "{text:?} names no key; as in EdDSA:public.pem, with HS256, RS256, ES256, EdDSA or jwks"
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
            assert!(secret(bytes).unwrap_err().contains("32 are the least"), "{bytes}");
        }
    }

    #[test]
    fn a_key_is_of_the_kind_that_its_algorithm_takes() {
        let k = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let key = format!("{{\"kty\":\"oct\",\"alg\":\"{algorithm}\",\"k\":\"{k}\"}}");
            assert!(of_set(&key).unwrap_err().contains("of another kind"), "{algorithm}");
        }
    }
}
