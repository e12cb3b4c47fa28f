// Package conversation keeps the state of every conversation of one input partition and turns
// events into facts: waits that ended, cycles, escalations, voids, each signed so that a late event
// corrects what was written (CONTRACT section 2, KPIS section 0).
//
// A conversation is a base (all that is settled) and a window of its last 16 events in their order;
// folding the window over the base gives the present. Whatever an arrival changes is the difference
// of the facts before and after it, so order, corrections, late closes and cycles that cease to
// exist are one mechanism:
//
//	machine.step   the only place where an event changes a conversation (step, waits, moves)
//	Table.Arrive   finds the conversation, judges late and duplicate, shows the event's place
//	Table.Settle   writes the decision into the entry, takes the difference, moves the oldest
//	               entry into the base
//
// An event that is strictly last costs one fold and one step, any other two folds.
//
// # Memory
//
// Everything lies in chunked slabs of structs without pointers. Bytes, held by a test:
//
//	slot      88   key, numbers, customer; one per conversation, and 11 to 16 of the index
//	entry     32   × 2, 4, 6, 8, 12 or 16, the smallest that fits; with seq 8 more each
//	state   1208   the base, from the 17th event on, kept without its zeros (bases): about 300
//	tuple     24   dimensions, actors, targets, decisions: once per distinct value
//
// On average 310 bytes a conversation on the Thunderbird set (3.2 events each, all with seq), about
// 750 on the generator's mix (13.3 events each).
//
// # Promises (SLA)
//
// A policy's promise is part of the state: it begins with a wait or a cycle, stops with a pause, and
// is broken by whatever comes after it was due (promise). What is past is judged by the latest event
// of the conversation, or by the latest due time that the partition's watermark has passed
// (slot.fired), so timers are nothing but a heap made from the state (timers): a restart makes it
// anew. Which policies and which calendar were in force lies with each event; their texts lie in the
// changelog, so what was written stays what it was after others are configured.
//
// # Readings of the contract
//
// Where the text leaves room, this package does the following.
//
//   - A reply anywhere in the cycle counts as one: an agent's message before the first customer
//     message makes the cycle neither unanswered nor missed, but is no first reply.
//   - A time ahead of the worker's clock counts as that clock in the order and in every figure.
//   - Queue: to.queue, for an escalate else queue, else to.team, for every kind of move.
//     Queue, team, assignee and role start anew with a cycle.
//   - A move to a team or queue without an agent takes the assignee away. handle_time runs with
//     status open only: hold ends it, though the requester waits on.
//   - A merge takes out the latest cycle also when it is closed, as a void does. What ends by
//     either ends its waits like a close. Only the first reason to take a cycle out counts.
//   - A void older than a full window marks the last cycle and does not cut it; a csat or outcome
//     that old is compared by time with what the base has.
//   - Public messages of bots after the end count as messages of the ended cycle, as agents' do.
//   - An echo is a person's whatever its actor.kind, unless it is the customer's.
//   - A bot's transfer while an escalate's (or a rule's) handoff is pending is no handoff of its
//     own; while another transfer's is pending it is a row without a wait of its own.
//   - A rule may force an escalation on any event but escalate and transfer.
//   - Roles: a transfer goes up when to.role lies after from.role, else after the role of the move
//     before, else the actor's, else the lowest. Ranks are frozen on arrival.
//   - The latest session_end judges; abandoned is since the first that nothing has followed.
//   - status open is an event "not named" in the order of one instant; status closed is a close.
//   - A promise takes the first policy that fits when it begins, the decision on that message
//     included; it keeps policy, target and clock. first_reply is the cycle's first wait by the stamp
//     that any reply ends, next_reply each later one.
//   - In time is not later than due. What a close ends unanswered is cancelled; requester_wait and
//     time_to_close are met by a close, cancelled by a void or merge.
//   - Of an imported conversation the watermark counts a minute after the latest arrival.
//   - active_handle_time follows four agents of a cycle at once.
package conversation
