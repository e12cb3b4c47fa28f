package sim

import (
	"usher/pipeline"
	"usher/sinks/clickhouse/deliver"
)

// Weak takes protections away, to see that the simulation notices: of the machines, of their drivers,
// and of what they rely on.
type Weak struct {
	Stage1 pipeline.Weakness
	Stage2 deliver.Weakness

	Stage1Unfenced bool // the broker takes offsets of a transaction from anybody
	UnstableFetch  bool // offsets are read though a transaction may still change them
	RevokedUnseen  bool // a transaction goes on though its partition was taken away

	NoFence           bool // the broker takes the sink's offsets from anybody
	IntentUnfenced    bool // the intent, but not the end of a range, is taken from anybody
	GenerationNotKept bool // a commit carries the generation of the moment
	RevokedNotAwaited bool // a partition is given back while its attempt is under way
	NoRenewal         bool // a commit in doubt is left on its way
	NoToken           bool
	TokenOfStart      bool // the token says only where the range begins
	NoLease           bool
	ShortWindow       bool // the store forgets tokens before the lease is over
}
