// Buys from the drop through the gateway's shopper API, which lives on this page's own origin.
// Every step can be repeated: a key is kept until its order has an answer, an order id until its order has ended, so that a
// reload or a lost answer goes on where it stopped. From the reservation on the order is watched: it may end without anybody
// touching this page. An ended order is looked at again a few times: its end need not be the last word on the money.
(() => {
  'use strict';

  const page = document.querySelector('[data-shop-page="product"]');
  if (!page) return;
  const api = '/.doorline/v1';
  const drop = page.dataset.drop;
  const provider = page.dataset.provider;
  const find = (selector) => page.querySelector(selector);
  const all = (selector) => [...page.querySelectorAll(selector)];
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const saved = {
    get: (name) => sessionStorage.getItem(`${drop}.${name}`),
    set: (name, value) => sessionStorage.setItem(`${drop}.${name}`, value),
    drop: (name) => sessionStorage.removeItem(`${drop}.${name}`),
  };

  let order = null;
  let countdown = 0;
  // The server's clock decides what the countdown shows, not the device's. Whatever delays an answer makes its time look
  // too early, so the latest guess is the best one.
  let clockBase = -Infinity;
  const now = () => (Number.isFinite(clockBase) ? clockBase + performance.now() : Date.now());
  let watching = null;

  // Talking to the gateway ------------------------------------------------------------------

  class Refused extends Error {
    constructor(status, problem) {
      super(problem.detail || problem.title || `The shop answered ${status}.`);
      this.status = status;
      this.kind = String(problem.type || '').split(/[/:#]/).pop();
      this.problem = problem;
    }
  }

  // Repeats what is safe to repeat: reads, and writes that carry a key.
  async function call(method, path, { body, key, retries = 8 } = {}) {
    const headers = { Accept: 'application/json' };
    if (body) headers['Content-Type'] = 'application/json';
    if (key) headers['Idempotency-Key'] = key;
    for (let attempt = 0; ; attempt += 1) {
      let answer = null;
      try {
        answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
      } catch (error) {
        if (attempt >= retries) throw error;
      }
      if (answer) {
        const told = Date.parse(answer.headers.get('Date'));
        if (told) clockBase = Math.max(clockBase, told - performance.now());
        const data = await answer.json().catch(() => ({}));
        if (answer.ok) return data;
        const busy = answer.status >= 500 || (answer.status === 429 && data.type && !/admission-required/.test(data.type));
        const twin = answer.status === 409 && /in-flight|in-progress|in-use/.test(data.type || '');
        if (!(busy || twin) || attempt >= retries) throw new Refused(answer.status, data);
        const wait = Number(answer.headers.get('Retry-After'));
        if (wait > 0) await sleep(Math.min(wait, 20) * 1000);
      }
      await sleep(Math.min(250 * 2 ** attempt, 4000) * (0.5 + Math.random() / 2));
    }
  }

  // What is shown ---------------------------------------------------------------------------

  function show(step) {
    for (const part of all('[data-step]')) part.hidden = part.dataset.step !== step;
    if (step !== 'pay') clearInterval(countdown);
  }

  function complain(text) {
    const alert = find('[data-alert]');
    alert.textContent = text;
    alert.hidden = !text;
  }

  function wait(title, text) {
    find('[data-step="wait"] h2').textContent = title;
    find('[data-wait-text]').textContent = text;
    show('wait');
  }

  function result(title, text, again, id = null) {
    find('[data-result-title]').textContent = title;
    find('[data-result-text]').textContent = text;
    find('[data-again]').textContent = again;
    find('[data-again]').hidden = false;
    find('[data-result-order]').hidden = !id;
    show('result');
    find('[data-result-title]').focus();
  }

  function busy(form, isBusy) {
    for (const button of form.querySelectorAll('button')) button.disabled = isBusy;
  }

  const money = (total) => {
    if (!total || typeof total.amount !== 'number') return '';
    const format = new Intl.NumberFormat(undefined, { style: 'currency', currency: total.currency.toUpperCase() });
    return format.format(total.amount / 10 ** format.resolvedOptions().maximumFractionDigits);
  };

  const instant = (value) => (typeof value === 'number' ? value : Date.parse(value));

  function showPayment() {
    const units = (order.items || []).reduce((sum, item) => sum + item.quantity, 0) || 1;
    find('[data-held]').textContent = units === 1 ? 'One pair is' : `${units} pairs are`;
    find('[data-total]').textContent = money(order.total);
    const until = instant(order.reserved_until);
    const tick = () => {
      const left = Math.max(0, Math.round((until - now()) / 1000));
      find('[data-countdown]').textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
      if (left === 0) {
        clearInterval(countdown);
        // Whether it is over is the server's to say; the watch asks until it does.
        if (watching) watching.ask();
      }
    };
    clearInterval(countdown);
    if (until) {
      tick();
      countdown = setInterval(tick, 1000);
    }
    show('pay');
  }

  // An order in words for people --------------------------------------------------------------

  const HELD_UP = {
    payments_paused: 'Payments are paused for the moment.',
    provider_unavailable: 'The payment service cannot be reached at the moment.',
  };
  const RELEASED = {
    expired: 'The time to pay was over.',
    cancelled: 'You gave them back.',
    cancelled_by_shop: 'The shop cancelled this order.',
    authorisation_lost: 'Your bank took its approval back before the payment was made.',
  };
  const LATE = {
    released: 'The hold on your card was given up.',
    being_released: 'The hold on your card is being given up.',
    refunded: 'The money was given back.',
    being_refunded: 'The money is being given back.',
  };
  const say = (...texts) => texts.filter(Boolean).join(' ');

  // A payment that came through after all: what became of the money. Beside a payment of the order's own it is a second one.
  function late(one) {
    const which = /paid|refunded/.test(one.state) ? 'A second' : 'A';
    return LATE[one.late_payment] ? `${which} payment came through late. ${LATE[one.late_payment]}` : '';
  }

  // An order that goes on: title and text. Nothing is charged before the provider is asked; from then on only the end tells.
  function waiting(one) {
    const title = 'Your order is in';
    const begun = one.state === 'paying';
    const held = HELD_UP[one.reason];
    if (one.reason === 'cancelling') {
      return ['Your order is being given up', say('What your bank was asked for is taken back. This page says when that is done.', late(one))];
    }
    if (!held) {
      const text = begun ? 'The payment is being made.' : 'It is accepted and on its way to payment. You may leave this page open.';
      return [title, say(text, late(one))];
    }
    const kept = begun
      ? 'Your order is kept. Its payment has begun, and is finished when payments go on.'
      : say('Your order is accepted and kept.', late(one) || 'Nothing has been charged yet.', 'Its payment is taken when payments go on.');
    return [title, say(held, kept, begun && late(one), 'There is nothing that you need to do.')];
  }

  // An order that has ended: title, text, and the way on. Nothing where it has not.
  function ending(one) {
    const back = 'Back to the shoe';
    switch (one.state) {
      case 'paid':
        return ['It is yours', say(late(one) ? 'Paid.' : 'Paid, once.', 'We will write to you when your pair is on its way.', late(one)), back];
      case 'declined':
        // Its payment was made and given back in a time that the ledger has lost.
        if (one.reason === 'refunded') return ending({ ...one, state: 'refunded' });
        return ['The card was declined', late(one) || 'Nothing was charged, and your pair went back to the pool at once.', 'Try another card'];
      case 'released':
        return ['The pairs were given back', late(one) || say(RELEASED[one.reason], 'Nothing was charged.'), 'Choose again'];
      case 'refunded':
        return one.reason === 'refund_failed'
          ? ['The refund has not gone through', say('You do not have your money back yet. The staff of the shop look into it.', late(one)), back]
          : ['Refunded', say('The payment was given back in full.', late(one)), back];
      default: return null;
    }
  }

  // Follows the order's state wherever it leads.
  function apply(next) {
    // An answer that was long on its way: an order that has moved on is never just reserved again.
    const same = order && (!next.order || next.order === order.order);
    if (next.state === 'reserved' && same && order.state && order.state !== 'reserved') return;
    // A whole answer replaces what was known: a reason that it leaves out holds no longer.
    order = next.order ? next : { ...order, ...next };
    const id = order.order;
    for (const place of all('[data-order]')) place.textContent = id;
    const end = ending(order);
    if (end) keep(id);
    else watch(id);
    if (end) result(...end, id);
    else if (order.state === 'reserved') showPayment();
    else if (order.state === 'action_required') show('bank');
    else wait(...waiting(order));
  }

  // Ended orders ------------------------------------------------------------------------------

  // A payment may come through late, a refund may be made or fail. The gateway is told so by the provider within seconds, or
  // compares every five minutes. Six looks, each after three times as long as the one before, are spread over half an hour.
  const RECENT_MS = 30 * 60 * 1000;
  const FIRST_LOOK_MS = 5000;
  const LOOKS_MAX = 6;
  const ENDED_MAX = 4;
  let ended = JSON.parse(saved.get('ended') || '[]').filter((one) => Date.now() - one.at < RECENT_MS);
  const isKept = (id) => ended.some((one) => one.order === id);

  function keep(id) {
    stopWatching();
    saved.drop('order');
    saved.set('shown', id);
    if (isKept(id)) return;
    ended = [...ended, { order: id, at: Date.now() }].slice(-ENDED_MAX);
    saved.set('ended', JSON.stringify(ended));
    lookBack(id, FIRST_LOOK_MS);
  }

  async function lookBack(id, first) {
    const notice = document.createElement('p');
    notice.setAttribute('role', 'status');
    find('[data-alert]').before(notice);
    for (let look = 0, pause = first; look < LOOKS_MAX; look += 1, pause = Math.max(FIRST_LOOK_MS, pause * 3)) {
      await sleep(pause * (0.5 + Math.random() / 2));
      if (!isKept(id)) break;
      try {
        // Not repeated: the next look is the repetition.
        tell(await call('GET', `/orders/${id}`, { retries: 0 }), notice);
      } catch (error) {
        if (isGone(error)) break;
      }
    }
  }

  // Says what is new: in its own place while that is shown, else beside what the shopper has turned to.
  function tell(found, notice) {
    if (saved.get('shown') === found.order) {
      if (!order || String(ending(found)) !== String(ending(order))) apply(found);
    } else if (late(found)) {
      notice.className = 'held';
      notice.textContent = `Your earlier order ${found.order}: ${late(found)}`;
    }
  }

  // Watching the order ----------------------------------------------------------------------

  function stopWatching() {
    if (watching) watching.stop();
    watching = null;
  }

  // Events while the stream works; polling when it does not.
  function watch(id) {
    if (watching && watching.id === id) return;
    stopWatching();
    saved.set('order', id);
    let live = true;
    let heardAt = 0;
    let wake = () => {};
    const hear = (event) => {
      try {
        const data = JSON.parse(event.data);
        heardAt = Date.now();
        if (live && data.state) apply(data);
      } catch {
        // A heartbeat or a comment: nothing to show.
      }
    };
    const stream = new EventSource(`${api}/orders/${id}/events`);
    stream.onmessage = hear;
    for (const name of ['order', 'state']) stream.addEventListener(name, hear);
    const poll = async () => {
      for (let pause = 1000; live; pause = Math.min(pause * 1.3, 5000)) {
        const asked = await Promise.race([sleep(pause), new Promise((resolve) => { wake = () => resolve('asked'); })]);
        if (!live || (asked !== 'asked' && Date.now() - heardAt < 4000)) continue;
        try {
          const data = await call('GET', `/orders/${id}`);
          if (live) apply(data);
        } catch (error) {
          if (live && isGone(error)) {
            stopWatching();
            saved.drop('order');
            result('This order is not known any more', 'Please start again.', 'Choose again');
          }
        }
      }
    };
    watching = { id, ask: () => wake(), stop: () => { live = false; stream.close(); } };
    poll();
  }

  // The server knows of no such order of this shopper's; any other failure says nothing about the order.
  const isGone = (error) => error instanceof Refused && [403, 404, 410].includes(error.status);

  // Shows an order of which only the id is known, however long it takes to be told.
  async function resume(id) {
    saved.set('order', id);
    wait('Looking at your order', 'You may leave this page open.');
    while (saved.get('order') === id) {
      try {
        const found = await call('GET', `/orders/${id}`);
        complain('');
        order = null;
        apply(found);
        return;
      } catch (error) {
        if (isGone(error)) {
          saved.drop('order');
          complain('');
          show('choose');
          return;
        }
        complain('Your order cannot be shown at this moment. It is kept, and this page goes on asking.');
        await sleep(2000 + Math.random() * 3000);
      }
    }
  }

  // Steps -----------------------------------------------------------------------------------

  async function reserve(form) {
    const choice = new FormData(form);
    const item = { sku: choice.get('sku'), quantity: Number(choice.get('quantity')) };
    // The same choice keeps its key until it has an answer; another choice is another order.
    const wanted = `${item.sku}x${item.quantity}`;
    let key = saved.get('wanted') === wanted ? saved.get('key') : null;
    key ||= crypto.randomUUID();
    saved.set('key', key);
    saved.set('wanted', wanted);
    saved.drop('shown');
    const placed = await call('POST', `/drops/${drop}/orders`, { body: { items: [item] }, key });
    saved.drop('key');
    apply(placed);
  }

  function explain(error) {
    if (!(error instanceof Refused)) return 'The connection was lost. Your place is kept; please try again.';
    switch (error.kind) {
      case 'sold-out':
        return 'Sold out in this size. If a payment fails, the pair goes to the next in the queue.';
      case 'limit-exceeded':
        return 'That is more than one person may buy in this drop.';
      default:
        return error.message;
    }
  }

  async function attempt(form, work) {
    complain('');
    busy(form, true);
    try {
      await work();
    } catch (error) {
      if (error instanceof Refused && (error.kind === 'admission-required' || error.status === 401)) {
        // The session is over: the gateway shows the waiting room in place of this page.
        location.reload();
        return;
      }
      if (error instanceof Refused) saved.drop('key');
      if (await showsOrder(error)) return;
      complain(explain(error));
      refreshStock();
    } finally {
      busy(form, false);
    }
  }

  // A refusal that is about an order of this shopper's is answered by showing that order.
  async function showsOrder(error) {
    switch (error.kind) {
      case 'admission-spent':
        if (!error.problem.order) return false;
        await resume(error.problem.order);
        return true;
      case 'reservation-expired':
        apply({ state: 'released', reason: 'expired' });
        return true;
      case 'order-has-moved-on':
        await resume(order.order);
        return true;
      default:
        return false;
    }
  }

  find('form[data-step="choose"]').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(event.target, () => reserve(event.target));
  });

  find('form[data-step="pay"]').addEventListener('submit', (event) => {
    event.preventDefault();
    const form = event.target;
    const card = new FormData(form).get('card');
    attempt(form, async () => {
      const options = { body: { payment_method: card }, key: crypto.randomUUID() };
      apply(await call('POST', `/orders/${order.order}/payment`, options));
    });
  });

  find('[data-cancel]').addEventListener('click', (event) => {
    attempt(event.target.form, async () => {
      apply(await call('DELETE', `/orders/${order.order}`));
      refreshStock();
    });
  });

  find('[data-again]').addEventListener('click', () => {
    order = null;
    saved.drop('shown');
    show('choose');
    refreshStock();
  });

  for (const button of all('[data-bank]')) {
    button.addEventListener('click', async () => {
      const secret = order && order.action && order.action.client_secret;
      if (!secret || !provider) return complain('The bank cannot be reached from this page.');
      complain('');
      const intent = secret.split('_secret_')[0];
      button.disabled = true;
      try {
        const answer = await fetch(`${provider}/sandbox/authenticate/${intent}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ client_secret: secret, outcome: button.dataset.bank }),
        });
        if (!answer.ok) throw new Error('refused');
        // The watch may have been told the end meanwhile.
        if (order.state === 'action_required') apply({ state: 'paying', action: null });
      } catch {
        complain('The bank did not answer. Please try again.');
      } finally {
        button.disabled = false;
      }
      return undefined;
    });
  }

  // Stock -----------------------------------------------------------------------------------

  async function refreshStock() {
    let state;
    try {
      state = await (await fetch(`${api}/drops/${drop}`, { headers: { Accept: 'application/json' } })).json();
    } catch {
      return 5000;
    }
    const stock = state.stock || {};
    let left = 0;
    let coming = 0;
    for (const input of all('input[name="sku"]')) {
      const units = stock[input.value];
      if (!units) continue;
      left += units.available;
      coming += units.reserved;
      input.disabled = units.available === 0;
    }
    const text = left > 0
      ? `${left} ${left === 1 ? 'pair' : 'pairs'} left`
      : coming > 0
        ? `All pairs are at checkout; ${coming} may come back`
        : 'Sold out';
    if (Object.keys(stock).length) find('[data-stock]').textContent = text;
    return state.poll_after_ms || 3000;
  }

  for (const input of all('input[name="sku"]')) {
    input.addEventListener('change', () => { find('[data-price]').textContent = input.dataset.price; });
  }

  (async () => {
    for (;;) {
      const pause = await refreshStock();
      await sleep(Math.max(1000, Math.min(pause, 15000)));
    }
  })();

  // Going on after a reload. An ended order is shown again, but nobody waits for that.
  const unfinished = saved.get('order');
  if (unfinished) resume(unfinished);
  for (const one of ended) lookBack(one.order, 0);
})();
