//! Tokens that were checked once and are taken again on the same connection.

use super::*;

async fn checked(house: &House) -> (Grant, CheckedToken) {
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    let cookie = shopper.0.seal(&house.desk.inner.keys);
    let token = house.desk.check_token(&aurora(), &grant.token, &cookie);
    (grant, token.unwrap())
}

#[tokio::test]
async fn a_token_that_was_checked_stops_with_its_session() {
    let house = House::new(rules(10, 600)).await;
    let (grant, token) = checked(&house).await;
    let session = house.desk.session_again(&token).unwrap();
    assert_eq!(session.admission, grant.admission);
    house.desk.complete(&aurora(), grant.admission).await.unwrap();
    assert_eq!(house.desk.session_of(&token), Err(TokenError::Revoked));
    assert_eq!(house.desk.session_again(&token), None);
}

#[tokio::test]
async fn a_token_that_was_checked_stops_with_its_time() {
    let house = House::new(rules(10, 600)).await;
    let (grant, token) = checked(&house).await;
    house.clock.set(grant.expires_at.as_millis());
    assert_eq!(house.desk.session_of(&token), Err(TokenError::Expired));
    assert_eq!(house.desk.session_again(&token), None);
}

#[tokio::test]
async fn what_was_checked_under_keys_that_were_rotated_is_checked_again() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    let cookie = shopper.0.seal(&house.desk.inner.keys);
    let ticket = house
        .desk
        .check_ticket(&aurora(), &shopper.1.ticket, &cookie)
        .unwrap();
    let token = house.desk.check_token(&aurora(), &grant.token, &cookie).unwrap();
    assert_eq!(house.desk.place_again(&ticket), Some(house.place(&shopper)));
    assert!(house.desk.session_again(&token).is_some());
    house.desk.inner.keys.rotate(&Repeating::from(99)).await.unwrap();
    assert_eq!(house.desk.place_again(&ticket), None);
    assert_eq!(house.desk.session_again(&token), None);
}

#[tokio::test]
async fn a_ticket_or_token_is_not_checked_for_anybody_else() {
    let house = House::new(rules(10, 600)).await;
    let (mine, yours) = (house.join().await, house.join().await);
    let grant = house.admit(&mine).await;
    let cookie = yours.0.seal(&house.desk.inner.keys);
    let ticket = house.desk.check_ticket(&aurora(), &mine.1.ticket, &cookie);
    assert_eq!(ticket.err(), Some(PlaceError::BadTicket));
    let token = house.desk.check_token(&aurora(), &grant.token, &cookie).unwrap();
    assert_eq!(house.desk.session_of(&token), Err(TokenError::NotYours));
    assert!(
        house
            .desk
            .check_token(&aurora(), &grant.token, "no cookie of ours")
            .is_err()
    );
}
