// Package broker is the embedded Kafka broker: kfake of franz-go, with its data on disk, in a child
// process that dies with its parent. It is embedded, one machine: one broker, no replication, on
// the loopback interface, for demo, tests and trying things out. kfake calls itself a fake, and so
// does this; a real deployment uses Apache Kafka.
//
// # Life
//
// Serve is the main function of the child. It locks the data directory, mends it when the last
// process did not end cleanly, and only then lets clients in; it writes DIR/broker.json with its
// address, on the port it had before if that is free, so that clients which outlived the last
// broker find this one. Start is the other side: it takes a lease on a running broker or starts
// one.
//
// # What survives kill -9
//
// Everything that was acknowledged. kfake writes each batch, group offset and producer epoch with a
// write of its own, so a kill can leave a transaction's markers in some partitions only, a group's
// offsets behind them, a batch without its index entry, or a torn last entry after which the next
// ones would be lost. It also forgets what producers had sent (a retry would be stored twice) and
// gives an open transaction no marker. Three things cure that:
//
//   - A journal: before an EndTxn is handled, its decision and the group offsets staged for it are
//     written to the data directory in one write. A kill before it aborts the transaction, a kill
//     after it commits the transaction.
//   - Mending, before anybody is let in: torn tails are cut off, indexes completed, transactions
//     that the journal holds as ended are committed with their offsets, every other open one is
//     aborted in the log itself and its producer's epoch raised, so that its client cannot end it
//     any more.
//   - Sequence windows are rebuilt from the log, so that a retried batch is recognised.
//
// Without fsync: a loss of power may lose what the operating system had not yet written. kfake's
// SyncWrites protects against nothing a kill can do, and made a transaction over eight partitions
// twenty times slower (0.5 and 9.8 ms on the machine it was tried on).
//
// Compaction deletes segments before it rewrites them, so a kill in the middle of it would lose
// state; it is switched off here, and retention with it: topics keep every record, however old its
// time stamp is.
package broker
