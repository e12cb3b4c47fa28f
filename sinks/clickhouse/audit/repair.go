package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/sink"
)

// Repaired is what a repair has put back and what it could not.
type Repaired struct {
	Rows map[string]uint64 // by table
	Left []Left
}

// Left are rows that are missing still: their records are gone.
type Left struct {
	Topic     string
	Partition int32
	From, To  int64 // of the rows topic, to exclusive
	Why       string
}

// RepairOptions are how to repair.
type RepairOptions struct {
	// TokenWindow is for how long a repair sends the same tokens: 0 means DefaultTokenWindow.
	TokenWindow time.Duration
}

// DefaultTokenWindow: two repairs at the same time send the same tokens, so the second changes
// nothing; rows that are deleted by hand once more later get other tokens, because a deletion leaves
// the old ones behind.
const DefaultTokenWindow = 2 * time.Minute

// repairDeadline is how long one insert may take, repairLease until when the server accepts it.
const (
	repairDeadline = deliver.LeaseMS / 2 * time.Millisecond
	repairLease    = deliver.LeaseMS * time.Millisecond
)

// repairer puts back what is missing of one partition of the rows topic.
type repairer struct {
	ctx   context.Context
	conn  driver.Conn
	src   Source
	part  Partition
	store *sink.ClickHouse
	out   *Repaired
	o     RepairOptions

	merges   map[string]*rows.Merge
	manifest *rows.Block[schema.ManifestRow]
}

// Repair reads the records that cover what is missing again and inserts exactly the missing rows,
// under tokens of its own: never a part of a block under the block's token, which ClickHouse would
// drop without a word. It needs the sink to have stored the scope, as Offsets says; the rows that a
// running sink is storing lie beyond it.
func Repair(
	ctx context.Context, conn driver.Conn, src Source, scope Scope, o RepairOptions,
) (*Repaired, error) {
	if o.TokenWindow <= 0 {
		o.TokenWindow = DefaultTokenWindow
	}
	out := &Repaired{Rows: map[string]uint64{}}
	var all []*repairer
	for _, p := range scope.Rows {
		r := &repairer{
			ctx: ctx, conn: conn, src: src, part: p, store: sink.NewClickHouse(conn), out: out, o: o,
			merges:   map[string]*rows.Merge{},
			manifest: rows.NewBlock[schema.ManifestRow](schema.Lookup(schema.TableManifest)),
		}
		all = append(all, r)
		if err := r.ranges(); err != nil {
			return out, r.fail(err)
		}
	}
	// Which conversations are lost is read off the turns, so these must be there first.
	lost := map[cycle]bool{}
	for _, p := range scope.Inputs {
		if err := lostCycles(ctx, conn, p, lost); err != nil {
			return out, err
		}
	}
	for _, r := range all {
		if err := r.conversations(lost); err != nil {
			return out, r.fail(err)
		}
	}
	if len(lost) > 0 {
		out.Left = append(out.Left, Left{Why: fmt.Sprintf("%d conversations have no record in the rows "+
			"topic any more", len(lost))})
	}
	return out, nil
}

func (r *repairer) fail(err error) error {
	return fmt.Errorf("cannot repair what %s/%d should have stored: %w", r.part.Topic, r.part.Partition, err)
}

// unit is a stretch of the rows topic that lacks something: a range of the manifest, or a hole
// between ranges, whose cuts are not known any more.
type unit struct {
	from, to int64
	hole     bool
}

// ranges puts back what ranges lack.
func (r *repairer) ranges() error {
	excused, err := declaredRows(r.ctx, r.conn, r.part.TopicID, r.part.Partition)
	if err != nil {
		return err
	}
	units, err := r.units()
	// Whoever declared that rows are gone meant it.
	units = slices.DeleteFunc(units, func(u unit) bool { return excused.hold(u.from) })
	if err != nil || len(units) == 0 {
		return err
	}
	start, err := r.start()
	if err != nil {
		return err
	}
	for _, u := range units {
		if u.from < start {
			r.left(u.from, min(u.to, start), fmt.Sprintf("retention removed these records: the topic "+
				"begins at offset %d now", start))
		}
		rest := unit{max(u.from, start), u.to, u.hole || u.from < start}
		if err := r.unit(rest, start <= u.from); err != nil {
			return err
		}
	}
	return nil
}

// start is the first offset that is still retained.
func (r *repairer) start() (int64, error) {
	id, start, err := r.src.Bounds(r.ctx, r.part.Partition)
	if err == nil && id != r.part.TopicID {
		err = errors.New("the rows topic was deleted and made anew: what it held is gone, nothing can " +
			"be put back from it")
	}
	return start, err
}

func (r *repairer) left(from, to int64, why string) {
	r.out.Left = append(r.out.Left, Left{
		Topic: r.part.Topic, Partition: r.part.Partition, From: from, To: to, Why: why,
	})
}

func (r *repairer) span() span {
	return span{
		at: fmt.Sprintf("_topic_id = '%s' AND _partition = %d", uuid.UUID(r.part.TopicID),
			r.part.Partition),
		from: r.part.Start, to: r.part.End,
	}
}

// units finds what lacks rows.
func (r *repairer) units() ([]unit, error) {
	in := r.span()
	found := map[unit]bool{}
	query := fmt.Sprintf("SELECT toInt64(`from`), toInt64(max(`to`)) FROM delivery_manifest WHERE %s "+
		"AND `from` >= %d AND `from` < %d GROUP BY `from` HAVING max(tables) > uniqExact(`table`)",
		in.at, in.from, in.to)
	if err := r.lacking(query, found); err != nil {
		return nil, err
	}
	for _, t := range schema.Tables() {
		if t.Writer != schema.ByRows || t.Replacing {
			continue
		}
		query := fmt.Sprintf("SELECT toInt64(`from`), toInt64(max(`to`)) FROM delivery_manifest WHERE %s "+
			"AND `from` IN (SELECT key FROM %s WHERE key >= 0 AND e > d) GROUP BY `from`", in.at,
			perRange(t.Name, in.at, in.from, in.to))
		if err := r.lacking(query, found); err != nil {
			return nil, err
		}
	}
	holes, err := uncovered(r.ctx, r.conn, in)
	if err != nil {
		return nil, err
	}
	for _, h := range holes {
		found[unit{h[0], h[1], true}] = true
	}
	out := make([]unit, 0, len(found))
	for u := range found {
		out = append(out, u)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].from < out[j].from })
	return out, nil
}

func (r *repairer) lacking(query string, found map[unit]bool) error {
	answer, err := r.conn.Query(r.ctx, query)
	if err != nil {
		return fmt.Errorf("cannot look for ranges that lack rows: %w", err)
	}
	defer func() { _ = answer.Close() }()
	for answer.Next() {
		var u unit
		if err := answer.Scan(&u.from, &u.to); err != nil {
			return fmt.Errorf("cannot look for ranges that lack rows: %w", err)
		}
		found[u] = true
	}
	return answer.Err()
}

// unit reads a stretch again and puts back what it lacks. A hole is cut as the sink cuts.
func (r *repairer) unit(u unit, whole bool) error {
	var run []deliver.Record
	from := u.from
	limits := deliver.Limits{Rows: sink.DefaultRangeRows, Bytes: sink.DefaultRangeBytes}
	err := r.src.Read(r.ctx, r.part.Partition, u.from, u.to, func(rec deliver.Record) error {
		run = append(run, rec)
		if n, closed := deliver.Cut(run, limits); u.hole && closed {
			if err := r.putBack(from, run[:n], true); err != nil {
				return err
			}
			from = run[n-1].Offset + 1
			run = append(run[:0], run[n:]...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(run) == 0 {
		if !u.hole {
			r.left(u.from, u.to, "the topic holds no committed record there any more")
		}
		return nil
	}
	return r.putBack(from, run, whole)
}

// putBack inserts what one range lacks, table by table in the protocol's order. Without its first
// records (whole is false) the range's manifest cannot be made again.
func (r *repairer) putBack(from int64, records []deliver.Record, whole bool) error {
	in, err := deliver.Describe(r.part.TopicID, from, records)
	if err != nil || len(in.Shares) == 0 {
		return err
	}
	for _, t := range in.Tables() {
		if t.Replacing || t.Writer == schema.ByRange && !whole {
			continue
		}
		m := r.merge(t.Name)
		if t.Writer == schema.ByRange {
			r.manifest.Reset()
			for _, row := range in.Manifest() {
				r.manifest.Append(&row)
			}
			err = m.Add(r.manifest.EncodeNative(nil), in.From)
		} else {
			err = addAll(m, records, t.Name)
		}
		if err != nil {
			return err
		}
		have, err := r.stored(t, from, in.To)
		if err != nil {
			return err
		}
		err = r.insert(t, m, func(offset int64, sub int) bool { return !have[place{offset, sub}] })
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *repairer) merge(table string) *rows.Merge {
	m := r.merges[table]
	if m == nil {
		m = &rows.Merge{}
		r.merges[table] = m
	}
	m.Reset()
	return m
}

func addAll(m *rows.Merge, records []deliver.Record, table string) error {
	for i := range records {
		if rec := &records[i]; !rec.Control && rec.Rows > 0 && rec.Header.Table == table {
			if err := m.Add(rec.Value, rec.Offset); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is where a row came from in the rows topic.
type place struct {
	offset int64
	sub    int
}

// stored are the rows of a range that a table holds.
func (r *repairer) stored(t *schema.Table, from, to int64) (map[place]bool, error) {
	found, err := r.conn.Query(r.ctx, fmt.Sprintf("SELECT toInt64(_offset), toInt64(_sub) FROM %s WHERE %s "+
		"AND _offset >= %d AND _offset < %d", t.Name, r.span().at, from, to))
	if err != nil {
		return nil, fmt.Errorf("cannot read which rows %s holds: %w", t.Name, err)
	}
	defer func() { _ = found.Close() }()
	out := map[place]bool{}
	for found.Next() {
		var offset, sub int64
		if err := found.Scan(&offset, &sub); err != nil {
			return nil, fmt.Errorf("cannot read which rows %s holds: %w", t.Name, err)
		}
		out[place{offset, int(sub)}] = true
	}
	return out, found.Err()
}

// insert puts the wanted rows of m into t, with one insert. Its outcome is not read back here: the
// audit that follows a repair does.
func (r *repairer) insert(t *schema.Table, m *rows.Merge, keep func(int64, int) bool) error {
	now, err := r.store.Now(r.ctx)
	if err != nil {
		return err
	}
	h := sha256.New()
	fmt.Fprintf(h, "usher repair %x %d %s %d", r.part.TopicID, r.part.Partition, t.Name,
		now.UnixNano()/int64(r.o.TokenWindow))
	body, n := m.Pick(nil, rows.Position{
		TopicID: r.part.TopicID, Partition: r.part.Partition,
		LeaseUntil: schema.Instant(now.Add(repairLease).UnixMilli()),
	}, func(offset int64, sub int) bool {
		yes := keep(offset, sub)
		if yes {
			fmt.Fprintf(h, " %d.%d", offset, sub)
		}
		return yes
	})
	if n == 0 {
		return nil
	}
	fed, err := r.feedsViews(t)
	if err != nil {
		return err
	}
	in := &sink.Insert{
		Table: t, Columns: m.Names(), Rows: n, Body: body, Token: hex.EncodeToString(h.Sum(nil)[:16]),
	}
	ctx, cancel := context.WithTimeout(r.ctx, repairDeadline)
	defer cancel()
	if fed {
		err = r.attach(ctx, in)
	} else {
		err = r.store.Insert(ctx, in)
	}
	if err != nil {
		return fmt.Errorf("%w; whether the rows are there is not known: wait %v, then repair again", err,
			r.o.TokenWindow)
	}
	r.out.Rows[t.Name] += uint64(n)
	return nil
}

// feedsViews reports whether materialized views take what is inserted into t.
func (r *repairer) feedsViews(t *schema.Table) (bool, error) {
	var n uint64
	err := r.conn.QueryRow(r.ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() "+
		"AND name = "+schema.Quote(t.Name)+" AND notEmpty(dependencies_table)").Scan(&n)
	if err != nil {
		return false, fmt.Errorf("cannot look for the views of %s: %w", t.Name, err)
	}
	return n > 0, nil
}

// attach puts rows into a table past its materialized views. Their targets hold the rows already: a
// row that is deleted from a table stays in what was made of it, and would count twice. The rows go
// into a table of their own, whose parts are then attached; it is made without IF NOT EXISTS, so that
// two repairs cannot both attach.
func (r *repairer) attach(ctx context.Context, in *sink.Insert) (err error) {
	staging := *in.Table
	staging.Name += "_repair"
	if err := r.conn.Exec(ctx, "CREATE TABLE "+staging.Name+" AS "+in.Table.Name); err != nil {
		return fmt.Errorf("cannot make the table %s: %w; if no other repair is under way, one was cut "+
			"off: DROP TABLE %s and repair again", staging.Name, err, staging.Name)
	}
	defer func() {
		err = errors.Join(err, r.conn.Exec(context.WithoutCancel(ctx), "DROP TABLE "+staging.Name+" SYNC"))
	}()
	one := *in
	one.Table = &staging
	if err := r.store.Insert(ctx, &one); err != nil {
		return err
	}
	parts, err := r.conn.Query(ctx, "SELECT DISTINCT partition_id FROM system.parts WHERE active AND "+
		"database = currentDatabase() AND table = "+schema.Quote(staging.Name))
	if err != nil {
		return fmt.Errorf("cannot read the parts of %s: %w", staging.Name, err)
	}
	var ids []string
	for parts.Next() {
		var id string
		if err := parts.Scan(&id); err != nil {
			return errors.Join(fmt.Errorf("cannot read the parts of %s: %w", staging.Name, err), parts.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(parts.Err(), parts.Close()); err != nil {
		return fmt.Errorf("cannot read the parts of %s: %w", staging.Name, err)
	}
	for _, id := range ids { // one: a range has one _day
		err := r.conn.Exec(ctx, "ALTER TABLE "+in.Table.Name+" ATTACH PARTITION ID "+schema.Quote(id)+
			" FROM "+staging.Name)
		if err != nil {
			return fmt.Errorf("cannot attach the rows for %s: %w", in.Table.Name, err)
		}
	}
	return nil
}
