package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/schema"
)

// Insert is one block for one table.
type Insert struct {
	Table   *schema.Table
	Columns []string
	Rows    int
	Token   string
	Body    []byte // Native format; valid during the call only
}

// ErrRefused marks an insert that ClickHouse refuses for what its block holds, or for the table it is
// meant for: repeating it helps only once somebody has changed one of them.
var ErrRefused = errors.New("ClickHouse refuses the block")

// Store is ClickHouse as the protocol needs it.
type Store interface {
	// Now is the server's clock.
	Now(ctx context.Context) (time.Time, error)
	// ReadBack counts, per table of the intent, the rows that came from its range.
	ReadBack(ctx context.Context, partition int32, in *deliver.Intent) (map[string]deliver.Stored, error)
	// Insert stores one block with one insert. Any error leaves the outcome unknown; ErrRefused marks
	// one that comes again and again.
	Insert(ctx context.Context, in *Insert) error
}

// ClickHouse is the Store on a real or embedded engine. The connection must use HTTP and have the
// database of the tables selected.
type ClickHouse struct{ conn driver.Conn }

// NewClickHouse makes the store on conn, which stays the caller's to close.
func NewClickHouse(conn driver.Conn) *ClickHouse { return &ClickHouse{conn: conn} }

// Now implements Store.
func (s *ClickHouse) Now(ctx context.Context) (time.Time, error) {
	var ms int64
	err := s.conn.QueryRow(ctx, "SELECT toUnixTimestamp64Milli(now64(3))").Scan(&ms)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot read ClickHouse's clock: %w", withoutURL(err))
	}
	return time.UnixMilli(ms), nil
}

// ReadBack implements Store.
func (s *ClickHouse) ReadBack(
	ctx context.Context, partition int32, in *deliver.Intent,
) (map[string]deliver.Stored, error) {
	var parts []string
	for _, t := range in.Tables() {
		day := ""
		if !t.Replacing {
			day = fmt.Sprintf(" AND _day = toDate(%d)", in.Day)
		}
		parts = append(parts, fmt.Sprintf("SELECT '%s' AS name, count() AS n, "+
			"uniqExact(_offset, _sub) AS d FROM %s WHERE _topic_id = '%s' AND _partition = %d "+
			"AND _offset >= %d AND _offset < %d%s", t.Name, t.Name, uuid.UUID(in.TopicID), partition,
			in.From, in.To, day))
	}
	rows, err := s.conn.Query(readSettings(ctx), strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("cannot read back the range %d-%d: %w", in.From, in.To, withoutURL(err))
	}
	defer func() { _ = rows.Close() }()
	out := map[string]deliver.Stored{}
	for rows.Next() {
		var name string
		var got deliver.Stored
		if err := rows.Scan(&name, &got.Rows, &got.Distinct); err != nil {
			return nil, fmt.Errorf("cannot read back the range %d-%d: %w", in.From, in.To, err)
		}
		out[name] = got
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read back the range %d-%d: %w", in.From, in.To, err)
	}
	if len(out) != len(parts) { // a count always answers
		return nil, fmt.Errorf("cannot read back the range %d-%d: %d of %d tables answered",
			in.From, in.To, len(out), len(parts))
	}
	return out, nil
}

// readSettings pins what a read-back relies on.
func readSettings(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"optimize_trivial_count_query": 0, // count rows, not a part's memory of them
		"use_query_cache":              0,
	}))
}

// Insert implements Store. Every setting that decides what a repeated insert does is pinned, because
// servers and users set other defaults.
func (s *ClickHouse) Insert(ctx context.Context, in *Insert) error {
	settings := clickhouse.Settings{
		"async_insert":                                       0,
		"insert_deduplicate":                                 1,
		"max_insert_threads":                                 1,
		"max_insert_block_size":                              in.Rows,
		"min_insert_block_size_rows":                         in.Rows,
		"min_insert_block_size_bytes":                        0,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		// LowCardinality travels as String: the server converts.
		"input_format_native_allow_types_conversion": 1,
	}
	if in.Table.Replacing {
		// One block covers many months of opening; it may be inserted twice.
		settings["insert_deduplicate"] = 0
		settings["max_partitions_per_insert_block"] = 0
	} else {
		settings["insert_deduplication_token"] = in.Token
	}
	columns := "`" + strings.Join(in.Columns, "`, `") + "`"
	err := s.conn.InsertFormat(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), "Native",
		"INSERT INTO "+in.Table.Name+" ("+columns+")", bytes.NewReader(in.Body))
	if err == nil {
		return nil
	}
	if name := refusesBlock(err); name != "" {
		// Its words may hold values of the block, and so what customers wrote.
		return fmt.Errorf("cannot insert %d rows into %s: %w: %s; ClickHouse's own log says which", in.Rows,
			in.Table.Name, ErrRefused, name)
	}
	return fmt.Errorf("cannot insert %d rows into %s: %w", in.Rows, in.Table.Name, withoutURL(err))
}

// withoutURL leaves out the address of a failed request, which holds the whole statement: 5 kB that
// say nothing about the failure.
func withoutURL(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// refusesBlock names a refusal of the block, as against a server that cannot take any block now: one
// without memory or room, with too many parts, read-only, ending. A lease that has run out is refused
// by a constraint too, and rightly: the attempt begins anew.
func refusesBlock(err error) string {
	var answer *clickhouse.Exception
	if !errors.As(err, &answer) {
		return ""
	}
	switch answer.Code {
	case 6:
		return "CANNOT_PARSE_TEXT"
	case 9:
		return "SIZES_OF_COLUMNS_DOESNT_MATCH"
	case 10:
		return "NOT_FOUND_COLUMN_IN_BLOCK"
	case 16:
		return "NO_SUCH_COLUMN_IN_TABLE"
	case 20:
		return "NUMBER_OF_COLUMNS_DOESNT_MATCH"
	case 27:
		return "CANNOT_PARSE_INPUT_ASSERTION_FAILED"
	case 33:
		return "CANNOT_READ_ALL_DATA"
	case 43:
		return "ILLEGAL_TYPE_OF_ARGUMENT"
	case 44:
		return "ILLEGAL_COLUMN"
	case 49:
		return "LOGICAL_ERROR"
	case 53:
		return "TYPE_MISMATCH"
	case 69:
		return "ARGUMENT_OUT_OF_BOUND"
	case 70:
		return "CANNOT_CONVERT_TYPE"
	case 117:
		return "INCORRECT_DATA"
	case 128:
		return "TOO_LARGE_ARRAY_SIZE"
	case 131:
		return "TOO_LARGE_STRING_SIZE"
	case 190:
		return "SIZES_OF_ARRAYS_DONT_MATCH"
	case 248:
		return "INVALID_PARTITION_VALUE"
	case 349:
		return "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"
	case 395: // of a materialized view
		return "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"
	case 469:
		if !strings.Contains(answer.Message, schema.LeaseConstraint) {
			return "VIOLATED_CONSTRAINT"
		}
	}
	return ""
}
