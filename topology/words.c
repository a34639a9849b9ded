/* SPDX-License-Identifier: BSD-3-Clause
 * words.c: the names of what machines consist of. */
#include <wirewise/tools.h>

static const char *name_of(const char *const *names, int count, int value)
{
    return value >= 0 && value < count ? names[value] : "?";
}

const char *ww_source_name(enum ww_source source)
{
    static const char *const names[WW_SOURCE_COUNT] = {
        [WW_SOURCE_NONE] = "nobody",         [WW_SOURCE_HWLOC] = "hwloc",
        [WW_SOURCE_SYSFS] = "sysfs",         [WW_SOURCE_NVML] = "NVML",
        [WW_SOURCE_NCCL_FILE] = "NCCL file", [WW_SOURCE_PARTS] = "table of parts"};
    return name_of(names, WW_SOURCE_COUNT, (int)source);
}

const char *ww_link_kind_name(enum ww_link_kind kind)
{
    static const char *const names[WW_LINK_KIND_COUNT] = {
        [WW_LINK_UNKNOWN] = "unknown",   [WW_LINK_NONE] = "none", [WW_LINK_NVLINK] = "NVLink",
        [WW_LINK_NVSWITCH] = "NVSwitch", [WW_LINK_XGMI] = "xGMI", [WW_LINK_XELINK] = "Xe Link"};
    return name_of(names, WW_LINK_KIND_COUNT, (int)kind);
}

const char *ww_nic_kind_name(enum ww_nic_kind kind)
{
    static const char *const names[WW_NIC_KIND_COUNT] = {[WW_NIC_UNKNOWN] = "RDMA of unknown kind",
                                                         [WW_NIC_INFINIBAND] = "InfiniBand",
                                                         [WW_NIC_ROCE] = "RoCE",
                                                         [WW_NIC_IWARP] = "iWARP",
                                                         [WW_NIC_EFA] = "EFA",
                                                         [WW_NIC_SLINGSHOT] = "Slingshot",
                                                         [WW_NIC_OMNIPATH] = "Omni-Path",
                                                         [WW_NIC_BXI] = "BXI",
                                                         [WW_NIC_USNIC] = "usNIC",
                                                         [WW_NIC_ETHERNET] = "Ethernet"};
    return name_of(names, WW_NIC_KIND_COUNT, (int)kind);
}

const char *ww_port_state_name(enum ww_port_state state)
{
    static const char *const names[] = {
        [WW_PORT_UNKNOWN] = "unknown", [WW_PORT_UP] = "UP", [WW_PORT_DOWN] = "DOWN"};
    return name_of(names, WW_PORT_DOWN + 1, (int)state);
}

const char *ww_place_name(enum ww_place place)
{
    static const char *const names[WW_PLACE_COUNT] = {
        [WW_PLACE_PIX] = "PIX",        [WW_PLACE_PXB] = "PXB",     [WW_PLACE_PHB] = "PHB",
        [WW_PLACE_NODE] = "NODE",      [WW_PLACE_PACKAGE] = "PKG", [WW_PLACE_SYS] = "SYS",
        [WW_PLACE_UNKNOWN] = "unknown"};
    return name_of(names, WW_PLACE_COUNT, (int)place);
}
