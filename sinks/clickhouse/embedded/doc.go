// Package embedded runs the real ClickHouse engine on this machine: libchdb, bound without cgo, in
// a child process behind an HTTP front on the loopback interface. The front speaks ClickHouse's
// HTTP interface, so that clickhouse-go, curl, Grafana's plugin and BI tools use it like a server,
// and the sink has one code path.
//
// It is one engine on one machine: no replication, no users, no query log. A crash of the engine
// ends its own process only, and what it acknowledged survives kill -9 of anything; data that the
// operating system had not yet written does not survive a loss of power.
//
// One thing of ClickHouse's own to know: a repeat under the same deduplication token can be dropped
// and acknowledged though the rows are nowhere. It was seen for a few of some five hundred inserts
// that a kill interrupted; the token seems to be logged before the part is added (inferred from what
// was seen, not read in its source). Whoever repeats an insert in doubt must read back afterwards and
// use another token for what is absent.
//
// # Life
//
// Serve is the main function of the child. It takes a lock on the data directory, opens the engine
// there, listens on 127.0.0.1 and writes DIR/engine.json with its address. It ends, finishing the
// requests under way, when its standard input closes and nobody holds a lease. Start is the other
// side: it takes a lease on the running engine of a data directory, or starts one.
//
// # The library
//
// LibraryPath finds it, `make libchdb` fetches it. With the build tag noembed, and on systems for
// which there is no library, the package compiles to errors that say so; a binary built with it is
// static, one without it is linked dynamically even with cgo off.
package embedded
