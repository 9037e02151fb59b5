//! The admission token: an EdDSA-signed JWT that passes the gateway for one drop and session.

use domain::{AdmissionId, DropId, ShopperKey, Timestamp};

/// What a verified admission token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// The drop it opens.
    pub drop: DropId,
    /// Names the admission; an order takes it once.
    pub admission: AdmissionId,
    /// Who holds it.
    pub shopper: ShopperKey,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a token does not open the door. All of them mean the same to a shopper: the waiting room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token, too long, or not of the form we issue.
    #[error("not an admission token")]
    Malformed,
    /// No key of ours signed it.
    #[error("the admission token's signature or key is not ours")]
    Forged,
    /// Its time is over, or has not come.
    #[error("the admission token has expired or is not valid yet")]
    Expired,
    /// It opens another drop, another epoch or another house.
    #[error("the admission token is for something else")]
    Foreign,
    /// It was issued to another visitor.
    #[error("the admission token belongs to another visitor")]
    NotYours,
    /// The session was ended.
    #[error("the admission was revoked")]
    Revoked,
}
