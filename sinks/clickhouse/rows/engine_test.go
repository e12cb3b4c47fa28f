package rows_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/schema"
)

// stored puts random rows of T into the engine and holds what it gives back to the structs.
func stored[T any](t *testing.T, conn driver.Conn, name string) {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	in := make([]T, 30)
	want := make([]map[string]any, len(in))
	for i := range in {
		row := reflect.ValueOf(&in[i]).Elem()
		fill(row, r)
		for _, partitionKey := range []string{"Day", "OpenedMonth"} { // one block, one partition
			if f := row.FieldByName(partitionKey); f.IsValid() {
				f.SetUint(20_000)
			}
		}
		if schema.Lookup(name).Replacing { // rows of one key would be merged
			row.FieldByName("CycleID").SetString(fmt.Sprint(i))
		}
		want[i] = map[string]any{}
		wants(row, want[i])
	}
	enginetest.Put(t, conn, name, 7, in...)
	var columns []string
	for _, c := range schema.Lookup(name).Columns {
		column := "`" + c.Name + "`"
		if c.Type != c.Wire { // ch-go shall see the plain type
			column = "CAST(" + column + " AS " + c.Wire + ") AS " + column
		}
		columns = append(columns, column)
	}
	body, err := conn.QueryFormat(t.Context(), "Native", "SELECT "+strings.Join(columns, ", ")+
		" FROM "+name+" ORDER BY _sub SETTINGS max_block_size = 1000, max_threads = 1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	block, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	same(t, name, decode(t, block), want)
}

func TestTheEngineGivesBackWhatTheStructsHeld(t *testing.T) {
	conn := enginetest.Open(t)
	stored[schema.Event](t, conn, schema.TableEvents)
	stored[schema.Decision](t, conn, schema.TableDecisions)
	stored[schema.Turn](t, conn, schema.TableTurns)
	stored[schema.Conversation](t, conn, schema.TableConversations)
	stored[schema.Void](t, conn, schema.TableVoids)
	stored[schema.Escalation](t, conn, schema.TableEscalations)
	stored[schema.Correction](t, conn, schema.TableCorrections)
	stored[schema.LabelRow](t, conn, schema.TableLabels)
	stored[schema.DeadLetter](t, conn, schema.TableDeadLetters)
	stored[schema.DeliveryGap](t, conn, schema.TableGaps)
	stored[schema.OpsEntry](t, conn, schema.TableJournal)
	stored[schema.ManifestRow](t, conn, schema.TableManifest)
}
