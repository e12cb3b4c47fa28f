package dashboards

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// builders are the boards in the order in which they are offered.
func builders() []func() (dashboard.Dashboard, error) {
	return []func() (dashboard.Dashboard, error){Service, Routing, Quality, Pipeline, Conversation}
}
