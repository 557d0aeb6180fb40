"use strict";
SwaggerUIBundle({
  url: document.body.dataset.root + "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // the public validator of Swagger's makers is not asked
});
