package dashboards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
)

// PluginID is Grafana's name for the ClickHouse data source.
const PluginID = "grafana-clickhouse-datasource"

// Format tells the plugin how to shape a result.
type Format int

// The formats that boards use; the plugin also knows logs, traces and multi.
const (
	FormatTimeSeries Format = 0
	FormatTable      Format = 1
)

// Query is one query of the ClickHouse data source, which the Foundation SDK does not know: it is
// plugged in as a variant of its own. The plugin's backend reads only RawSQL and Format.
type Query struct {
	RefID      string               `json:"refId"`
	Datasource common.DataSourceRef `json:"datasource"`
	EditorType string               `json:"editorType"`
	RawSQL     string               `json:"rawSql"`
	Format     Format               `json:"format"`
}

// ImplementsDataqueryVariant marks Query as a variant.
func (Query) ImplementsDataqueryVariant() {}

// DataqueryType is the identifier under which the variant is registered.
func (Query) DataqueryType() string { return PluginID }

// Validate finds what would show an empty panel.
func (q Query) Validate() error {
	var missing error
	if q.RefID == "" {
		missing = errors.Join(missing, errors.New("a query needs a refId"))
	}
	if q.RawSQL == "" {
		missing = errors.Join(missing, errors.New("a query needs rawSql"))
	}
	return missing
}

// Equals compares with another query. The SDK hands over values, and so do the decoders here: a
// pointer would never be equal after a round trip.
func (q Query) Equals(other variants.Dataquery) bool {
	o, ok := other.(Query)
	if !ok {
		return false
	}
	a, errA := json.Marshal(q)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// queryBuilder makes a finished Query a builder, which is what panels take.
type queryBuilder struct{ query Query }

// Build checks and returns the query.
func (b queryBuilder) Build() (variants.Dataquery, error) {
	if err := b.query.Validate(); err != nil {
		return nil, cog.MakeBuildErrors("query", err)
	}
	return b.query, nil
}

// query builds a query on the data source variable.
func query(refID string, format Format, sql string) cog.Builder[variants.Dataquery] {
	return queryBuilder{Query{RefID: refID, Datasource: source(), EditorType: "sql",
		RawSQL: sql, Format: format}}
}

// VariantConfig is what cog.NewRuntime().RegisterDataqueryVariant takes, so that boards can be read
// back; call plugins.RegisterDefaultPlugins first.
func VariantConfig() variants.DataqueryConfig {
	decode := func(raw []byte, strict bool) (variants.Dataquery, error) {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		if strict {
			decoder.DisallowUnknownFields()
		}
		var q Query
		if err := decoder.Decode(&q); err != nil {
			return nil, fmt.Errorf("cannot decode a query of %s: %w", PluginID, err)
		}
		return q, nil
	}
	return variants.DataqueryConfig{
		Identifier: PluginID,
		DataqueryUnmarshaler: func(raw []byte) (variants.Dataquery, error) {
			return decode(raw, false)
		},
		StrictDataqueryUnmarshaler: func(raw []byte) (variants.Dataquery, error) {
			return decode(raw, true)
		},
	}
}
