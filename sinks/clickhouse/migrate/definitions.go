package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

const definitionColumns = "name, form, definition, formula, numerator, denominator, unit, needs, " +
	"source, edge_cases, example, notes"

// writeDefinitions keeps kpi_definitions equal to the views: a definition is written when it is not
// there in the same words.
func writeDefinitions(ctx context.Context, conn driver.Conn) error {
	have, err := definitions(ctx, conn)
	if err != nil {
		return err
	}
	var values []string
	for _, k := range views.KPIs() {
		d := k.DefinitionRow()
		fields := []string{
			d.Name, d.Form, d.Definition, d.Formula, d.Numerator, d.Denominator, d.Unit, d.Needs,
			d.Source, d.EdgeCases, d.Example, d.Notes,
		}
		if have[fmt.Sprint(d.Version, fields)] {
			continue
		}
		for i := range fields {
			fields[i] = schema.Quote(fields[i])
		}
		values = append(values, fmt.Sprintf("(%s, %d, now64(3))", strings.Join(fields, ", "), d.Version))
	}
	if len(values) == 0 {
		return nil
	}
	err = conn.Exec(ctx, "INSERT INTO kpi_definitions ("+definitionColumns+", version, updated_at) "+
		"VALUES "+strings.Join(values, ", "))
	if err != nil {
		return fmt.Errorf("cannot write the KPI definitions: %w", err)
	}
	return nil
}

// definitions is the set of definitions that are there.
func definitions(ctx context.Context, conn driver.Conn) (map[string]bool, error) {
	rows, err := conn.Query(ctx, "SELECT version, ["+definitionColumns+"] FROM kpi_definitions FINAL")
	if err != nil {
		return nil, fmt.Errorf("cannot read the KPI definitions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]bool{}
	for rows.Next() {
		var version uint32
		var fields []string
		if err := rows.Scan(&version, &fields); err != nil {
			return nil, fmt.Errorf("cannot read the KPI definitions: %w", err)
		}
		out[fmt.Sprint(version, fields)] = true
	}
	return out, rows.Err()
}
