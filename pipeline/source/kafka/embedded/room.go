package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// roomBytes is what the broker leaves free on its disk. It keeps on in memory what it cannot write, and
// would forget it at the next start: so it refuses what clients want to write while there is still room
// for what it writes by itself, such as the ends of transactions.
const roomBytes = 64 << 20

// noRoomSaid is how often that is said in the log.
const noRoomSaid = time.Minute

var errNoRoom = errors.New("there is no room on the embedded broker's disk")

// writes are the requests that are refused without room. The client's connection ends, and it tries
// again. An end of a transaction is not among them: it lets go of what waits.
func writes() []kmsg.Key {
	return []kmsg.Key{
		kmsg.Produce, kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.CreateTopics, kmsg.AddPartitionsToTxn,
	}
}

// keepRoom runs before the broker handles a request that writes.
func (b *server) keepRoom(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake's signature
	b.cluster.KeepControl()
	free, err := b.free(b.dir)
	if err != nil || free >= roomBytes {
		return nil, nil, false // a disk that cannot be asked is found out by the writing
	}
	if now := time.Now(); now.Sub(b.saidRoom) >= noRoomSaid {
		b.saidRoom = now
		b.log.Error("the disk is full: what clients write is refused until there is room",
			"free_bytes", free, "needed_bytes", roomBytes)
	}
	return nil, fmt.Errorf("%w: %d bytes are free, %d are needed", errNoRoom, free, roomBytes), true
}
