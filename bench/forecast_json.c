/* SPDX-License-Identifier: BSD-3-Clause
 * forecast_json.c: a forecast as JSON, schema wirewise.plan/1. */
#include "forecast.h"

#include "json.h"

static void put_shapes(struct json *json, const struct ww_forecast_cluster *cluster)
{
    json_open_array(json, "shapes");
    for (int i = 0; i < cluster->shape_count; i++) {
        json_open_object(json, NULL);
        json_text(json, "name", cluster->shapes[i].name);
        json_integer(json, "nodes", cluster->shapes[i].nodes);
        json_integer(json, "ranks_per_node", cluster->shapes[i].ranks);
        json_text(json, "about", cluster->shapes[i].about);
        json_close_object(json);
    }
    json_close_array(json);
}

/* null where there is no wire, as between the GPUs of a node that has one. */
static void put_rate(struct json *json, const char *name, double gb_s)
{
    if (gb_s > 0) {
        json_number(json, name, gb_s);
    } else {
        json_null(json, name);
    }
}

static void put_levels(struct json *json, const struct ww_forecast_cluster *cluster)
{
    json_open_array(json, "levels");
    for (int i = 0; i < cluster->level_count; i++) {
        const struct ww_forecast_level *level = &cluster->levels[i];
        json_open_object(json, NULL);
        json_text(json, "name", level->name);
        json_integer(json, "units", level->units);
        json_integer(json, "ranks_least", level->ranks_least);
        json_integer(json, "ranks_most", level->ranks_most);
        json_text(json, "wire", level->wire);
        json_text(json, "from", level->from);
        json_number(json, "latency_s", level->latency_s);
        put_rate(json, "message_gb_s", level->flow_gb_s);
        put_rate(json, "port_gb_s", level->port_gb_s);
        json_text(json, "source", level->source);
        json_number(json, "spread", level->spread);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_cluster(struct json *json, const struct ww_forecast_cluster *cluster)
{
    json_open_object(json, "cluster");
    json_text(json, "name", cluster->name);
    json_integer(json, "ranks", cluster->ranks);
    json_integer(json, "nodes", cluster->nodes);
    if (cluster->ports > 0) {
        json_integer(json, "ports_per_node", cluster->ports);
    } else {
        json_null(json, "ports_per_node");
    }
    json_text(json, "device", cluster->device);
    json_text(json, "placement", cluster->placement);
    put_shapes(json, cluster);
    put_levels(json, cluster);
    json_open_array(json, "assumed");
    for (int i = 0; i < cluster->note_count; i++) {
        json_text(json, NULL, cluster->notes[i]);
    }
    json_close_array(json);
    json_close_object(json);
}

static void put_what_if(struct json *json, const struct forecast_wishes *wishes)
{
    json_open_array(json, "what_if");
    for (int i = 0; i < wishes->what_if_count; i++) {
        json_open_object(json, NULL);
        json_text(json, "level", wishes->what_if[i].level);
        json_number(json, "factor", wishes->what_if[i].factor);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_codecs(struct json *json, const struct ww_forecast_cluster *cluster)
{
    json_open_array(json, "codecs");
    for (int i = 0; i < cluster->codec_count; i++) {
        const struct ww_forecast_codec *codec = &cluster->codecs[i];
        json_open_object(json, NULL);
        json_text(json, "codec", codec->name);
        json_number(json, "bytes_share", codec->bytes_share);
        json_number(json, "break_even_gb_s", codec->break_even_gb_s);
        json_number(json, "gain", codec->gain);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_row(struct json *json, const struct ww_forecast_cluster *cluster,
                    const struct ww_forecast_row *row)
{
    json_open_object(json, NULL);
    json_text(json, "algorithm", row->algorithm);
    json_number(json, "segment_bytes", row->segment_bytes);
    json_integer(json, "window", row->window);
    json_number(json, "seconds", row->seconds);
    json_number(json, "least_s", row->least_s);
    json_number(json, "most_s", row->most_s);
    json_number(json, "algbw_gb_s", row->algbw_gb_s);
    json_number(json, "busbw_gb_s", row->busbw_gb_s);
    json_text(json, "limit", row->limit);
    json_number(json, "node_bytes", row->node_bytes);
    if (cluster->ports > 0) {
        json_number(json, "nic_bytes", row->nic_bytes);
    } else {
        json_null(json, "nic_bytes");
    }
    json_open_array(json, "levels");
    for (int level = 0; level < cluster->level_count; level++) {
        json_open_object(json, NULL);
        json_text(json, "name", cluster->levels[level].name);
        json_number(json, "rank_bytes", row->rank_bytes[level]);
        json_number(json, "port_bytes", row->port_bytes[level]);
        json_close_object(json);
    }
    json_close_array(json);
    json_close_object(json);
}

void forecast_write_json(const struct forecast_wishes *wishes,
                         const struct ww_forecast_cluster *cluster,
                         const struct forecast_result *results, FILE *to)
{
    struct json json = {.to = to};
    json_open_object(&json, NULL);
    json_text(&json, "schema", "wirewise.plan/1");
    json_text(&json, "wirewise", ww_version());
    json_text(&json, "file", wishes->file);
    put_cluster(&json, cluster);
    put_codecs(&json, cluster);
    put_what_if(&json, wishes);
    json_text(&json, "collective", wishes->collective);
    json_open_array(&json, "sizes");
    for (int i = 0; i < wishes->size_count; i++) {
        json_open_object(&json, NULL);
        json_number(&json, "bytes", results[i].bytes);
        json_open_array(&json, "ways");
        for (int r = 0; r < results[i].count; r++) {
            put_row(&json, cluster, &results[i].rows[r]);
        }
        json_close_array(&json);
        json_close_object(&json);
    }
    json_close_array(&json);
    json_close_object(&json);
}
