package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/features/conversation"
)

// ErrStateMismatch says that changelog and committed offset do not belong together.
var ErrStateMismatch = errors.New("state and committed offset do not match")

// RestoreJob asks for the state of one input partition as of what the group has committed.
type RestoreJob struct {
	Partition int32
	Committed Committed
	Epoch     uint64 // the assignment that asked; a later one makes the answer stale
}

// Restore collects the state of one input partition from its changelog. It knows no network:
// whoever reads the changelog, read_committed and in order, applies its records and asks after each
// of them whether the state is complete.
type Restore struct {
	job      RestoreJob
	topic    string // the changelog
	source   Source
	group    string
	key      uint64 // fingerprint of the privacy key
	table    *conversation.Table
	progress Progress
	seen     bool // a progress record
	records  int64
	took     time.Duration // a driver's note, for the log
	weak     Weakness
}

// Apply takes the next record of the changelog.
func (s *Restore) Apply(rec *kgo.Record) error {
	if rec.Attrs.IsControl() {
		return nil
	}
	s.records++
	if string(rec.Key) == ProgressKey {
		p, err := ParseProgress(rec.Value)
		if err != nil {
			return fmt.Errorf("changelog %s/%d offset %d: %w", s.topic, rec.Partition, rec.Offset, err)
		}
		s.progress, s.seen = p, true
		return s.check()
	}
	if len(rec.Key) != len(conversation.Key{}) {
		return fmt.Errorf("cannot restore %s/%d offset %d: key of %d bytes, want %d",
			s.topic, rec.Partition, rec.Offset, len(rec.Key), len(conversation.Key{}))
	}
	if err := s.table.Restore(conversation.Key(rec.Key), rec.Value); err != nil {
		return fmt.Errorf("cannot restore %s/%d offset %d: %w", s.topic, rec.Partition, rec.Offset, err)
	}
	return nil
}

// check refuses state that was written under other conditions.
func (s *Restore) check() error {
	p, id := &s.progress, s.job.Partition
	if p.TopicID != s.source.TopicID {
		return fmt.Errorf("cannot go on with partition %d: topic %s was deleted and created again "+
			"since its state was written; use another topic name, or delete the state topic and the "+
			"group %s to begin anew", id, s.source.Topic, s.group)
	}
	if p.Fingerprint != s.key {
		return fmt.Errorf("cannot go on with partition %d: privacy.key is not the one that its state "+
			"was written with; configure the earlier key, or begin anew with another prefix", id)
	}
	if p.Partitions != s.source.Partitions {
		return fmt.Errorf("cannot go on with partition %d: topic %s has %d partitions, its state was "+
			"written when it had %d; a changed count sends conversations to other partitions: set it "+
			"back, or begin anew with another prefix", id, s.source.Topic, s.source.Partitions, p.Partitions)
	}
	return nil
}

// Complete reports whether the state is the one that belongs to the committed offset. atEnd says
// that everything has been applied that was stable when the reading began.
//
// Markers of the two topics are written independently, so the transaction that the group has
// committed may not be visible here yet: not complete means wait. A commit that does not name its
// transaction was made by hand, long after; then the end of the changelog decides.
func (s *Restore) Complete(atEnd bool) (bool, error) {
	want := s.job.Committed
	switch {
	case want.Offset < 0 && atEnd && s.seen:
		return false, fmt.Errorf("%w: %s/%d holds state up to input offset %d but the group has no "+
			"committed offset; restore the group's offsets, or delete the state topic to begin anew",
			ErrStateMismatch, s.topic, s.job.Partition, s.progress.Next)
	case want.Offset < 0:
		return atEnd, nil
	case !s.seen || s.progress.Next != want.Offset:
		return false, nil
	case s.weak&WeakRestoreByOffset != 0:
		return true, nil
	case want.Seq < 0:
		return atEnd, nil
	}
	return s.progress.Seq == want.Seq, nil
}

// TimedOut is the refusal of a restore that did not become complete in time.
func (s *Restore) TimedOut(after time.Duration) error {
	return fmt.Errorf("%w: after %s the changelog %s/%d stands at input offset %d, the group "+
		"has committed %d; if the changelog was cut or the offsets were moved by hand, set the "+
		"offsets back, or delete state topic and group to begin anew; if the broker was slow, "+
		"raise restore_timeout", ErrStateMismatch, after, s.topic, s.job.Partition,
		s.progress.Next, s.job.Committed.Offset)
}
