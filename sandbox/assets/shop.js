// Buys from the drop through the gateway's shopper API, which lives on this page's own origin.
// Every step can be repeated: a key is kept until its order has an answer, an order id until it is
// settled, so that a reload or a lost answer goes on where it stopped. From the reservation on the order is watched: it
// may end without anybody touching this page.
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
  async function call(method, path, { body, key } = {}) {
    const headers = { Accept: 'application/json' };
    if (body) headers['Content-Type'] = 'application/json';
    if (key) headers['Idempotency-Key'] = key;
    for (let attempt = 0; ; attempt += 1) {
      let answer = null;
      try {
        answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
      } catch (error) {
        if (attempt >= 8) throw error;
      }
      if (answer) {
        const told = Date.parse(answer.headers.get('Date'));
        if (told) clockBase = Math.max(clockBase, told - performance.now());
        const data = await answer.json().catch(() => ({}));
        if (answer.ok) return data;
        const busy = answer.status >= 500 || (answer.status === 429 && data.type && !/admission-required/.test(data.type));
        const twin = answer.status === 409 && /in-flight|in-progress|in-use/.test(data.type || '');
        if (!(busy || twin) || attempt >= 8) throw new Refused(answer.status, data);
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

  function result(title, text, { again = '', id = null } = {}) {
    find('[data-result-title]').textContent = title;
    find('[data-result-text]').textContent = text;
    find('[data-again]').textContent = again;
    find('[data-again]').hidden = !again;
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

  // What became of units that were given back, in words for people.
  function whyReleased() {
    switch (order.reason) {
      case 'expired': return 'The time to pay was over. Nothing was charged.';
      case 'cancelled': return 'You gave them back. Nothing was charged.';
      case 'cancelled_by_shop': return 'The shop cancelled this order. Nothing was charged.';
      case 'authorisation_lost': return 'Your bank took its approval back before the payment was made. Nothing was charged.';
      default: return 'Nothing was charged.';
    }
  }

  // Follows the order's state wherever it leads.
  function apply(next) {
    // An answer that was long on its way: an order that has moved on is never just reserved again.
    const same = order && (!next.order || next.order === order.order);
    if (next.state === 'reserved' && same && order.state && order.state !== 'reserved') return;
    order = { ...order, ...next };
    const id = order.order;
    for (const place of all('[data-order]')) place.textContent = id;
    switch (order.state) {
      case 'reserved':
        showPayment();
        return;
      case 'action_required':
        show('bank');
        return;
      case 'paid':
        settle();
        result('It is yours', 'Paid, once. We will write to you when your pair is on its way.', { id });
        return;
      case 'declined':
        settle();
        result('The card was declined', late() || 'Nothing was charged, and your pair went back to the pool at once.', { again: 'Try another card' });
        return;
      case 'released':
        settle();
        result('The pairs were given back', late() || whyReleased(), { again: 'Choose again' });
        return;
      case 'refunded':
        settle();
        result('Refunded', 'The payment was given back in full.', { id });
        return;
      default:
        find('[data-wait-text]').textContent = order.state === 'paying'
          ? 'The payment is being made.'
          : 'It is accepted and on its way to payment. You may leave this page open.';
        show('wait');
    }
  }

  // A payment that came through after all: what became of the money.
  function late() {
    switch (order.late_payment) {
      case 'released': return 'A payment came through late. The hold on your card was given up.';
      case 'being_released': return 'A payment came through late. The hold on your card is being given up.';
      case 'refunded': return 'A payment came through late. The money was given back.';
      case 'being_refunded': return 'A payment came through late. The money is being given back.';
      default: return '';
    }
  }

  function settle() {
    saved.drop('order');
    saved.drop('key');
    stopWatching();
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
            settle();
            result('This order is not known any more', 'Please start again.', { again: 'Choose again' });
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
    find('[data-wait-text]').textContent = 'Looking at it. You may leave this page open.';
    show('wait');
    while (saved.get('order') === id) {
      try {
        const found = await call('GET', `/orders/${id}`);
        complain('');
        order = null;
        apply(found);
        if (saved.get('order') === id) watch(id);
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
    order = await call('POST', `/drops/${drop}/orders`, { body: { items: [item] }, key });
    saved.drop('key');
    saved.set('order', order.order);
    apply(order);
    if (saved.get('order')) watch(order.order);
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
      const key = crypto.randomUUID();
      const answer = await call('POST', `/orders/${order.order}/payment`, { body: { payment_method: card }, key });
      apply({ state: 'accepted', ...answer });
      if (saved.get('order')) watch(order.order);
    });
  });

  find('[data-cancel]').addEventListener('click', (event) => {
    attempt(event.target.form, async () => {
      await call('DELETE', `/orders/${order.order}`);
      settle();
      show('choose');
      refreshStock();
    });
  });

  find('[data-again]').addEventListener('click', () => {
    order = null;
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
        order.action = null;
        apply({ state: 'paying' });
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

  // Going on after a reload.
  const unfinished = saved.get('order');
  if (unfinished) resume(unfinished);
})();
