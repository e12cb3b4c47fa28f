// Package torture kills usher's processes, its broker and its engine at random while events flow,
// disturbs the network between them, stops and continues them, lets members join and leave, and
// then holds every row in ClickHouse to what the input log asks for.
//
// Everything is real: the binary, Apache Kafka, the engine, SIGKILL. Between usher and the two
// servers stands a proxy (toxiproxy, as a library) that can cut connections, swallow answers, end a
// stream in the middle of a block, or delay it. The producer and the oracle are not disturbed: they
// talk to the broker beside the proxy, so that what the log holds is known.
//
// # What is independent of what
//
//   - Events, dead letters, gaps and decisions are counted again from the log by encoding/json and the
//     truth that the generator wrote beside each record; no code of usher's takes part.
//   - The KPI views are recomputed by bench/oracle, which was written in another language from the
//     text of the contract, and first replies once more by a few lines here (recount.go) for the
//     conversations whose order leaves no question.
//   - All facts and every KPI view are held, row by row and position by position, to a second run of
//     usher over the same log that nobody disturbs. That finds whatever a fault does to a fact; it
//     cannot find an error that both runs make.
//
// When everything holds, the tables are damaged in four ways, and the oracle must find each: one that
// does not would have found nothing before either.
package torture
