/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sandglass.v1.SandboxService: the control plane over gRPC, gRPC-Web and Connect. */
#include <stdbool.h>

#include "rpc/call.h"
#include "service/auth.h"

struct control;
struct sandbox;
struct sandbox_service;

/* NULL on -ENOMEM. The router must not outlive it. */
struct sandbox_service *sandbox_service_new(const struct control *c);
struct sandbox_service *sandbox_service_free(struct sandbox_service *s);
const struct rpc_service *sandbox_service_rpc(const struct sandbox_service *s);
/* For the router: keys for everything but health and reflection, CORS for browsers. arg is a
 * struct control. */
enum rpc_code sandbox_service_gate(struct call *c, char *text, size_t cap, void *arg);
/* The server stops: end the event streams (UNAVAILABLE) and take no more of them. */
void sandbox_service_drain(struct sandbox_service *s);

/* ---- between the files of this service ---- */
const struct control *service_call_control(const struct call *c);
/* False: the call was finished. */
bool service_call_team(struct call *c, struct auth_team *ret);
/* The team's running sandbox of that id, or NULL and the call was finished. */
struct sandbox *service_call_sandbox(struct call *c, const struct auth_team *t, const char *id);
/* Send the only answer (r is what building it gave) and finish. */
void service_call_answer(struct call *c, int r, const ProtobufCMessage *m);

extern const struct rpc_method sandbox_watch_method;
struct link *sandbox_service_watches(struct sandbox_service *s);
bool sandbox_service_is_draining(const struct sandbox_service *s);
void sandbox_watch_stop(struct link *watch);
