//! The walk's provider: it keeps keys, saves its errors, and does as the mutant says.

use super::*;

impl World {
    pub(super) fn provide(&mut self, flight: &Flight) -> Answer {
        let failed = Answer::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        });
        let reads = flight.call.attempt().is_none();
        if self.chance(5) {
            return Answer::Stalled(Stall::RateLimited { retry_after: None });
        }
        self.keys
            .retain(|_, saved| self.now.since(saved.at) < Span::from_secs(24 * 3_600));
        if let Some(saved) = self.keys.get(&flight.key).filter(|_| !reads) {
            return saved.answer.clone();
        }
        let answer = if self.chance(8) {
            failed
        } else {
            let answer = self.perform(flight);
            if self.chance(5) { failed } else { answer }
        };
        if !reads {
            self.keys.insert(
                flight.key.clone(),
                Saved {
                    answer: answer.clone(),
                    at: self.now,
                },
            );
        }
        answer
    }

    fn perform(&mut self, flight: &Flight) -> Answer {
        match &flight.call {
            Call::Authorise { attempt, method, .. } => self.authorise(flight.order, attempt.n, method),
            Call::Capture { payment, .. } => self.capture(payment),
            Call::Cancel { payment, .. } | Call::CancelStray { payment, .. } => {
                let payment = self.find(payment);
                if !payment.is_open() {
                    return Answer::Rejected(reason("unexpected_state"));
                }
                payment.status = PaymentStatus::Cancelled;
                Answer::Payment(payment.clone())
            }
            Call::Refund { payment, amount, .. } | Call::RefundStray { payment, amount, .. } => {
                let payment = self.find(payment);
                if payment.refunded + amount.amount > payment.captured {
                    return Answer::Rejected(reason("already_refunded"));
                }
                payment.refunded += amount.amount;
                Answer::Refunded(amount.amount)
            }
            Call::Retrieve { payment } => Answer::Payment(self.find(payment).clone()),
            Call::Find { .. } => {
                let id = self.orders[flight.order].id;
                let ours = self.payments.iter().filter(|payment| payment.order == id);
                let found = ours.max_by_key(|payment| payment.n);
                found.map_or(Answer::Absent, |payment| Answer::Payment(payment.clone()))
            }
        }
    }

    fn authorise(&mut self, at: usize, n: u32, method: &PaymentMethod) -> Answer {
        let id = PaymentId::new(&format!("pi_{}", self.payments.len() + 1)).unwrap();
        let status = match method.as_str() {
            "pm_card_visa" if self.decline => PaymentStatus::RequiresMethod,
            "pm_card_visa" if self.mutant == Mutant::AutomaticCapture => PaymentStatus::Succeeded,
            "pm_card_visa" => PaymentStatus::RequiresCapture,
            _ => PaymentStatus::RequiresAction,
        };
        let payment = Payment {
            id,
            n,
            order: self.orders[at].id,
            ..payment(status)
        };
        self.payments.push(payment.clone());
        if status == PaymentStatus::RequiresMethod {
            return Answer::Declined(reason("insufficient_funds"));
        }
        Answer::Payment(payment)
    }

    fn capture(&mut self, id: &PaymentId) -> Answer {
        let payment = self.find(id);
        if payment.status != PaymentStatus::RequiresCapture {
            return Answer::Rejected(reason("unexpected_state"));
        }
        payment.status = PaymentStatus::Succeeded;
        payment.captured = payment.amount.amount;
        payment.capturable = 0;
        let payment = payment.clone();
        *self.captures.entry(payment.order.0).or_default() += 1;
        Answer::Payment(payment)
    }

    fn find(&mut self, id: &PaymentId) -> &mut Payment {
        self.payments
            .iter_mut()
            .find(|payment| payment.id == *id)
            .unwrap()
    }
}
