/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bounds on what a peer, a guest or a file can make us hold. Each names what it is against. */

#define LIMIT_HEAD_BYTES (64 * 1024)	    /* one request or response head: header bombs */
#define LIMIT_HEAD_FIELDS 128		    /* fields a head: hash and list flooding */
#define LIMIT_H1_LINE (16 * 1024)	    /* request line */
#define LIMIT_STREAMS_PER_CONN 512	    /* HTTP/2 MAX_CONCURRENT_STREAMS */
#define LIMIT_FRAME (64 * 1024)		    /* one HTTP/2 frame */
#define LIMIT_STREAM_WINDOW (256 * 1024)    /* unread body bytes a stream */
#define LIMIT_CONN_WINDOW (4 * 1024 * 1024) /* unread body bytes a connection */
#define LIMIT_STREAM_QUEUE (256 * 1024) /* unsent body bytes a stream before its source pauses */
#define LIMIT_RESETS_BURST 200		/* HTTP/2 rapid reset: allowed at once, then per second */
#define LIMIT_RESETS_PER_S 50
#define LIMIT_CTRL_FRAMES_PER_S 1000	    /* PING and SETTINGS floods */
#define LIMIT_RPC_MESSAGE (4 * 1024 * 1024) /* one gRPC/Connect message of the control plane */
#define LIMIT_JSON_BODY (1024 * 1024)	    /* REST body */
#define LIMIT_JSON_DEPTH 64
#define LIMIT_CONNECTIONS 4096 /* client connections a listener */
