/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sandglass.v1.TemplateService over gRPC, gRPC-Web and Connect. */
struct control;
struct rpc_service;
struct template_service;

/* NULL on -ENOMEM. The router must not outlive it. */
struct template_service *template_service_new(const struct control *c);
struct template_service *template_service_free(struct template_service *s);
const struct rpc_service *template_service_rpc(const struct template_service *s);
/* Builds that are being followed end with UNAVAILABLE (and are cancelled), new ones are refused. */
void template_service_drain(struct template_service *s);
